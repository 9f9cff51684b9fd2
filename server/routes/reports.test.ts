/** What operators look up: coupons past and to come, a drop over time, days, and who changed what. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { adminToken, assertProblem } from "../../bench/harness/app.ts";
import { routesWorld } from "../../bench/harness/routes.ts";

const { world, asAdmin, asAdminGet, holder, wrongTargetTests } = routesWorld();

const created = async (coupon: object) => {
  const { status, body } = await asAdmin("POST /coupons", {
    ...{ message: "m", description: "d", expiry: "2036-01-01T00:00:00Z" },
    ...coupon,
  });
  assert.equal(status, 201);
  return body.coupon_id as number;
};

test("coupons by state, time and code, page by page; a page holds when its last coupon is gone", async () => {
  const first = { code: "Find-1", start_time: "2021-03-01T10:00:00.5Z", count: 1, metadata: { n: 1 } };
  const one = await created(first);
  const two = await created({ code: "FIND-2", start_time: "2021-03-02T10:00:00Z", count: 2 });
  const three = await created({ code: "find_3", start_time: "2021-03-03T10:00:00Z", count: 3 });
  const four = await created({ code: "FIND-4", start_time: "2035-03-03T10:00:00Z", count: 3 });
  await asAdmin(`POST /coupons/${two}/pause`);
  const list = async (query: string) => (await asAdminGet(`/coupons/list?${query}`)).body;
  const ids = async (query: string) =>
    (await list(query)).coupons.map(({ coupon_id }: { coupon_id: number }) => coupon_id);
  assert.deepEqual(await ids("code_prefix=find"), [four, three, two, one]);
  assert.deepEqual(await ids("code_prefix=FIND-"), [four, two, one]);
  assert.deepEqual(await ids("code_prefix=find_"), [three]);
  assert.deepEqual(await ids("code_prefix=find%25"), []);
  assert.deepEqual(await ids("code_prefix=find&state=paused"), [two]);
  assert.deepEqual(await ids("code_prefix=find&state=upcoming"), [four]);
  const range = "since=2021-03-01T11:00:00%2B00:30&before=2021-03-03T10:00:00Z";
  assert.deepEqual(await ids(range), [two]);
  const { coupons, next_before, server_time } = await list("before=2021-03-01T10:00:01Z");
  assert.deepEqual(coupons, [
    {
      ...{ state: "live", coupon_id: one, code: "Find-1", message: "m", description: "d" },
      ...{ start_time: "2021-03-01T10:00:00.500000Z", eligible_group: null, eligible_from: null },
      ...{ expiry: "2036-01-01T00:00:00.000000Z" },
      ...{
        live_on: "2021-03-01",
        slot: 1,
        count: 1,
        issued: 0,
        remaining: 1,
        paused: false,
        metadata: { n: 1 },
      },
    },
  ]);
  assert.deepEqual([next_before, Number.isFinite(Date.parse(server_time))], [null, true]);

  const page = await list("code_prefix=find&page_size=2");
  assert.deepEqual([page.coupons.length, page.next_before], [2, "2021-03-03T10:00:00.000000Z"]);
  await world().scratch.owner`delete from coupon.coupons where id = ${three}`;
  const rest = await list(`code_prefix=find&page_size=2&before=${page.next_before}`);
  assert.deepEqual(
    rest.coupons.map(({ coupon_id }: { coupon_id: number }) => coupon_id),
    [two, one],
  );
  assert.deepEqual((await list(`code_prefix=find&before=${rest.next_before}`)).coupons, []);
});

test("timeline: grants in each bucket; none yet; no such coupon; a bucket that is too short", async () => {
  const { coupon_id } = await holder();
  const { body } = await asAdminGet(`/coupons/${coupon_id}/timeline?bucket=3600`);
  const [{ begins_at, ...bucket }] = body.buckets;
  assert.match(begins_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.deepEqual(
    [body.coupon_id, body.bucket, bucket],
    [coupon_id, 3600, { asked: 1, grants: 1, refused: 0, issued: 1 }],
  );
  assert.equal((await asAdminGet(`/coupons/${coupon_id}/timeline?bucket=0.25`)).body.bucket, 0.25);
  const within = `bucket=3600&since=${begins_at}&before=2100-01-01T00:00:00Z`;
  assert.equal((await asAdminGet(`/coupons/${coupon_id}/timeline?${within}`)).body.buckets.length, 1);
  const earlier = (await asAdminGet(`/coupons/${coupon_id}/timeline?before=${begins_at}`)).body;
  assert.deepEqual(earlier.buckets, []);
  const fresh = await world().newCoupon();
  assert.deepEqual((await asAdminGet(`/coupons/${fresh}/timeline`)).body, {
    ...{ coupon_id: fresh, bucket: 1, buckets: [] },
  });
  assert.equal((await asAdminGet("/coupons/999999/timeline")).body.outcome, "coupon_not_found");
});

test("days: what each offered and gave", async () => {
  await created({ code: "DAY-1", start_time: "2022-05-01T10:00:00Z", count: 4 });
  await created({ code: "DAY-2", start_time: "2022-05-01T11:00:00Z", count: 5 });
  const empty = {
    asked: 0,
    issued: 0,
    used: 0,
    share_used: null,
    first_issued_at: null,
    last_issued_at: null,
  };
  assert.deepEqual((await asAdminGet("/daily-summary?first_day=2022-05-01&last_day=2022-05-02")).body, {
    days: [
      { day: "2022-05-01", coupons: 2, count: 9, ...empty },
      { day: "2022-05-02", coupons: 0, count: 0, ...empty },
    ],
  });
  await holder("order-1");
  const { days } = (await asAdminGet("/daily-summary")).body;
  assert.equal(days.length, 7);
  const { issued, used, share_used } = days.at(-1);
  assert.deepEqual([used, share_used], [1, Math.round(1e4 / issued) / 1e4]);
});

test("audit: newest first, page by page; numbers keep their digits", async () => {
  const coupon_id = await created({
    ...{ code: "AUDIT-1", start_time: "2022-06-01T10:00:00Z", count: 4 },
    ...{ metadata: { long: 1 }, reason: "spring" },
  });
  await asAdmin(`POST /coupons/${coupon_id}/count`, { count: 25, reason: "asked by marketing" });
  const first = (await asAdminGet(`/audit?coupon_id=${coupon_id}&page_size=1`)).body;
  const [{ audit_id, at, ...entry }] = first.entries;
  assert.equal(first.next_before, audit_id);
  assert.match(at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.deepEqual(entry, {
    ...{ login: "coupon_api", actor: "admin:root", command: "set_coupon_count", coupon_id },
    ...{ user_id: null, used_date: null, old_values: { count: 4 }, new_values: { count: 25 } },
    reason: "asked by marketing",
  });
  const next = (await asAdminGet(`/audit?coupon_id=${coupon_id}&page_size=1&before=${audit_id}`)).body;
  assert.deepEqual([next.entries[0].command, next.entries[0].reason], ["create_coupon", "spring"]);
  assert.deepEqual((await asAdminGet(`/audit?since=${at}&coupon_id=${coupon_id}`)).body.entries.length, 1);
  const { user_id } = await holder("order-7");
  const [use] = (await asAdminGet(`/audit?user_id=${user_id}`)).body.entries;
  assert.deepEqual([use.command, use.user_id], ["use_coupon", user_id]);
  assertProblem(await asAdminGet("/audit?before=999999"), 400, {
    outcome: "invalid_request",
    detail: "before: must be an id of the audit",
    errors: [{ member: "before", detail: "must be an id of the audit" }],
  });
});

test("a bucket that is too short for the drop: 400 that names one", async () => {
  const { coupon_id } = await holder();
  await world().issue(coupon_id, await world().newUser());
  const { owner } = world().scratch;
  await owner.begin(async (sql) => {
    await sql`alter table coupon.user_coupons disable trigger user`;
    await sql`
      update coupon.user_coupons set issued_at = issued_at - interval '6 hours', used_date = null
      where coupon_id = ${coupon_id} and position = 1`;
    await sql`alter table coupon.user_coupons enable trigger user`;
  });
  const { status, body } = await world().call(`GET /coupons/${coupon_id}/timeline`, { token: adminToken });
  assert.equal(status, 400);
  assert.match(
    body.detail,
    /^bucket: must be longer: this would make 2160\d buckets, and 10000 is the most; 3 seconds would do$/,
  );
});

const time = "must be a time like 2026-11-22T10:00:00Z";
const day = "must be a day like 2026-11-22";
for (const [name, run] of wrongTargetTests([
  ["/coupons/list?state=gone", "state", "must be one of upcoming, ended, paused, sold_out, live"],
  ["/coupons/list?since=yesterday", "since", time],
  ["/coupons/list?before=7", "before", time],
  ["/coupons/list?code_prefix=", "code_prefix", "must not be empty"],
  ["/coupons/list?page_size=1001", "page_size", "must be at most 1000"],
  ["/coupons/1/timeline?bucket=1.0001", "bucket", "must be a number of seconds"],
  ["/coupons/1/timeline?bucket=0", "bucket", "must be at least 0.001"],
  ["/coupons/1/timeline?bucket=99999999", "bucket", "must be at most 31622400"],
  ["/coupons/1/timeline?since=now", "since", time],
  ["/coupons/1/timeline?before=7", "before", time],
  ["/daily-summary?first_day=0000-01-01", "first_day", day],
  ["/daily-summary?last_day=2026-02-30", "last_day", day],
  ["/audit?coupon_id=x", "coupon_id", "must be a whole number from 1"],
  ["/audit?before=0", "before", "must be a whole number from 1"],
  ["/audit?since=now", "since", time],
]))
  test(name, run);

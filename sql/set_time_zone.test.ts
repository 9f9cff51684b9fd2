import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { loseZone } from "../bench/harness/coupons.ts";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, coupon, issue } = await testDatabase({ time_zone: "UTC" });
const setZone = (name: string) => value(admin`select outcome from set_time_zone(${name})`);

/** A coupon of a fixed instant. */
const create = (code: string, start_time: string, count: number) =>
  value(admin`
    select outcome
    from create_coupon(${code}, 'm', 'd', ${start_time}::text::timestamptz, '2100-01-01', ${count})`);

const days = () =>
  rows(
    owner`select code, live_on::text, slot from coupon.coupons where start_time > '2058-01-01' order by start_time`,
  );

beforeEach(async () => {
  await owner`delete from coupon.coupons where issued = 0`;
  await owner`update coupon.settings set time_zone = 'UTC'`;
});

test("changed: coupons move to their day in the new zone, and back", async () => {
  await create("EVENING", "2059-01-01 20:00Z", 1);
  await create("MORNING", "2059-01-03 06:00Z", 1);
  assert.equal(await setZone("Asia/Tokyo"), "changed");
  assert.deepEqual(await days(), [
    ["EVENING", "2059-01-02", 1],
    ["MORNING", "2059-01-03", 1],
  ]);
  assert.equal(await setZone("UTC"), "changed");
  assert.deepEqual(await days(), [
    ["EVENING", "2059-01-01", 1],
    ["MORNING", "2059-01-03", 1],
  ]);
});

test("changed: a coupon that takes the place which another leaves is not in its way", async () => {
  for (const day of [1, 2, 3]) assert.equal(await create(`D${day}`, `2059-01-0${day} 20:00Z`, 10), "created");
  assert.equal(await setZone("Asia/Tokyo"), "changed");
  assert.deepEqual(await days(), [
    ["D1", "2059-01-02", 1],
    ["D2", "2059-01-03", 1],
    ["D3", "2059-01-04", 1],
  ]);
  assert.equal(await setZone("America/Los_Angeles"), "changed");
});

test("changed: new coupons get their day from it", async () => {
  await setZone("Pacific/Kiritimati");
  assert.equal(await create("LATE", "2059-01-01 10:00Z", 1), "created");
  assert.deepEqual(await days(), [["LATE", "2059-01-02", 1]]);
});

test("changed: grants keep their day, and the next one counts in the new zone", async () => {
  const [holder, lunch] = [await user(), await coupon()];
  await issue(holder, lunch);
  // At any instant one of these two zones is on another day than UTC.
  for (const zone of ["Etc/GMT+12", "Etc/GMT-14"]) {
    assert.equal(await setZone(zone), "changed");
    const today = await value(admin`
      select (clock_timestamp() at time zone ${zone})::date = (clock_timestamp() at time zone 'UTC')::date`);
    assert.equal(await issue(holder, await coupon()), today ? "daily_limit_reached" : "issued");
  }
  const kept = owner`select issued_on = (issued_at at time zone 'UTC')::date from coupon.user_coupons
    where (user_id, coupon_id) = (${holder}, ${lunch})`;
  assert.equal(await value(kept), true);
});

test("unchanged", async () => {
  assert.equal(await setZone("UTC"), "unchanged");
});

test("changed: two days that become one share its slots", async () => {
  await create("A", "2059-01-01 20:00Z", 1);
  await create("B", "2059-01-02 06:00Z", 2);
  assert.equal(await setZone("Asia/Tokyo"), "changed");
  assert.deepEqual(await days(), [
    ["A", "2059-01-02", 1],
    ["B", "2059-01-02", 2],
  ]);
});

for (const [what, counts] of [
  ["four coupons", [1, 2, 3, 4]],
  ["two coupons of one count", [1, 1]],
] as const) {
  test(`breaks_daily_offer: a day would offer ${what}, and nothing changes`, async () => {
    const [first, ...others] = counts;
    await create("A", "2059-01-01 20:00Z", first);
    for (const [hour, count] of others.entries()) await create(`B${hour}`, `2059-01-02 0${hour}:00Z`, count);
    const before = await days();
    assert.equal(await setZone("Asia/Tokyo"), "breaks_daily_offer");
    assert.deepEqual(await days(), before);
    assert.equal(await value(owner`select time_zone from coupon.settings`), "UTC");
    assert.equal(await setZone("UTC"), "unchanged");
  });
}

/** As if the zone's rules had said, when the coupons that nobody has yet were made, that it is `hours` later there than they say now. */
async function rulesChanged(hours: number) {
  await owner.begin(async (sql) => {
    await sql`alter table coupon.coupons disable trigger coupons_day_is_decided_anew`;
    await sql`
      update coupon.coupons
      set live_on = ((start_time at time zone time_zone) + ${hours} * interval '1 hour')::date
      where issued = 0`;
    await sql`alter table coupon.coupons enable trigger coupons_day_is_decided_anew`;
  });
}

const wrongDays = () => rows(admin`select coupon_id::integer from reconcile() order by 1`);

test("the zone's rules change between two coupons of neighbouring midnights: each keeps its day, and can be had and changed", async () => {
  const made = await rows(admin`
    select c.coupon_id::integer
    from (values (41), (40)) v (days)
    cross join lateral create_coupon('M' || v.days, 'm', 'd',
      (date_trunc('day', now(), 'UTC') - v.days * interval '1 day' - interval '1 hour'), '2100-01-01', v.days) c`);
  const [[first], [second]] = made as [[number], [number]];
  await rulesChanged(1);
  const kept = await rows(owner`select id::integer, live_on::text, slot from coupon.coupons order by 1`);
  const holder = await user();
  assert.equal(await issue(holder, second), "issued");
  assert.equal(await value(admin`select outcome from pause_coupon(${second})`), "paused");
  assert.equal(await value(admin`select outcome from resume_coupon(${second})`), "resumed");
  assert.equal(await value(admin`select outcome from set_coupon_count(${second}, 50)`), "changed");
  assert.equal(await value(admin`select outcome from set_coupon_expiry(${second}, '2099-01-01')`), "changed");
  assert.deepEqual(
    await rows(owner`select id::integer, live_on::text, slot from coupon.coupons order by 1`),
    kept,
  );
  assert.deepEqual(await wrongDays(), [[first], [second]]);
  assert.equal(await setZone("UTC"), "changed");
  assert.deepEqual(await wrongDays(), []);
  assert.equal(await setZone("UTC"), "unchanged");
});

test("changed: the same zone under new rules moves the coupons that are of another day now, and the audit says whence", async () => {
  await create("THERE", "2059-01-01 06:00Z", 1);
  await create("MOVED", "2059-01-01 23:30Z", 2);
  await create("AFTER", "2059-01-02 06:00Z", 1);
  await rulesChanged(1);
  await create("SINCE", "2059-01-01 07:00Z", 3);
  const [[id]] = (await rows(owner`select id::integer from coupon.coupons where code = 'MOVED'`)) as [
    [number],
  ];
  assert.deepEqual(await wrongDays(), [[id]]);
  await admin`select from set_time_zone('UTC', reason => 'tzdata 2031a', actor => 'ops')`;
  assert.deepEqual(await days(), [
    ["THERE", "2059-01-01", 1],
    ["SINCE", "2059-01-01", 3],
    ["MOVED", "2059-01-01", 2],
    ["AFTER", "2059-01-02", 1],
  ]);
  assert.deepEqual(
    await rows(admin`select command, old_values, new_values, reason, actor from audit_trail(page_size => 1)`),
    [
      [
        "set_time_zone",
        { time_zone: "UTC", live_on: { [id]: "2059-01-02" } },
        { time_zone: "UTC" },
        "tzdata 2031a",
        "ops",
      ],
    ],
  );
});

test("breaks_daily_offer: the same zone under new rules, which make one day of two with the same count", async () => {
  await create("A", "2059-01-01 23:30Z", 1);
  await create("B", "2059-01-03 06:00Z", 1);
  await rulesChanged(1);
  assert.equal(await create("C", "2059-01-01 06:00Z", 1), "created");
  const before = await days();
  assert.equal(await setZone("UTC"), "breaks_daily_offer");
  assert.deepEqual(await days(), before);
});

test("a coupon is never made at another's start_time, whatever day that one had by older rules", async () => {
  await create("A", "2059-01-01 23:30Z", 1);
  await rulesChanged(1);
  assert.equal(await create("B", "2059-01-01 23:30Z", 2), "start_time_taken");
});

test("changed: away from a zone that the server's zone data no longer have", async () => {
  const [lunch, holder] = [await coupon(), await user()];
  await loseZone(owner);
  await assert.rejects(issue(holder, lunch), { code: "22023" });
  assert.deepEqual(await rows(admin`select invariant, detail from reconcile()`), [
    ["time_zone_is_known", "no time zone Gone/Zone here: call set_time_zone()"],
  ]);
  assert.equal(await setZone("UTC"), "changed");
  assert.equal(await issue(holder, lunch), "issued");
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from set_time_zone(null)`, "time_zone", "22004");
  for (const zone of ["", "Mars/Olympus", "utc+3", "<+03>-3", "localtime", "posixrules"])
    await refusesArgument(admin`select from set_time_zone(${zone})`, "time_zone", "22023");
});

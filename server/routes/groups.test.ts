/** Groups: their members, and a coupon that starts earlier for them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { adminToken, assertProblem } from "../../bench/harness/app.ts";
import { invalid, offer, routesWorld, type Wrong } from "../../bench/harness/routes.ts";

const { world, asAdmin, asAdminGet, outcomeTests, wrongBodyTests } = routesWorld();

/** An upcoming coupon of this day, at ten. */
async function upcoming(code: string, day: string): Promise<number> {
  const { status, body } = await asAdmin("POST /coupons", offer(code, day));
  assert.equal(status, 201);
  return body.coupon_id;
}
const setGroup = (coupon_id: number, group_name: string | null, eligible_from: string | null) =>
  asAdmin(`POST /coupons/${coupon_id}/group`, { group_name, eligible_from });
const change = (how: "add" | "remove", name: string, user_ids: number[]) =>
  asAdmin(`POST /groups/${name}/${how}`, { user_ids });

for (const [name, run] of outcomeTests("set_coupon_group", {
  coupon_not_found: async () => [
    await setGroup(999_999, "regulars", "2058-05-01T09:00:00Z"),
    { coupon_id: 999_999 },
  ],
  unchanged: async () => {
    const coupon_id = await upcoming("GROUP-1", "2058-05-01");
    return [await setGroup(coupon_id, null, null), { coupon_id }];
  },
  already_started: async () => {
    const coupon_id = await world().newCoupon();
    return [await setGroup(coupon_id, "regulars", "2058-05-02T09:00:00Z"), { coupon_id }];
  },
  in_the_past: async () => {
    const coupon_id = await upcoming("GROUP-2", "2058-05-03");
    return [await setGroup(coupon_id, "regulars", "2001-05-03T09:00:00Z"), { coupon_id }];
  },
  not_before_start: async () => {
    const coupon_id = await upcoming("GROUP-3", "2058-05-04");
    return [await setGroup(coupon_id, "regulars", "2058-05-04T10:00:00Z"), { coupon_id }];
  },
  changed: async () => {
    const coupon_id = await upcoming("GROUP-4", "2058-05-05");
    const answer = await setGroup(coupon_id, "nobody", "2058-05-05T11:50:00+02:00");
    return [answer, { coupon_id, warning: "empty_group" }];
  },
}))
  test(name, run);

test("everybody sees from when a group may have it; which one, operators see", async () => {
  const coupon_id = await upcoming("GROUP-5", "2058-05-06");
  await setGroup(coupon_id, "regulars", "2058-05-06T09:50:00Z");
  const eligible_from = "2058-05-06T09:50:00.000000Z";
  const shown = async (path: string) => {
    const { body } = await world().call(`GET ${path}`);
    const coupons = body.coupons ?? body.upcoming ?? [body];
    return coupons.find((coupon: { coupon_id: number }) => coupon.coupon_id === coupon_id);
  };
  for (const path of [`/coupons/${coupon_id}`, "/coupons/upcoming?page_size=1000"]) {
    const coupon = await shown(path);
    assert.equal(coupon.eligible_from, eligible_from, path);
    assert.equal("eligible_group" in coupon, false, path);
  }
  const [listed] = (await asAdminGet("/coupons/list?code_prefix=GROUP-5")).body.coupons;
  assert.deepEqual([listed.eligible_group, listed.eligible_from], ["regulars", eligible_from]);
});

test("members: added, removed, listed as lines and as CSV", async () => {
  const [ann, ben] = (await world().newUsers(2)) as [number, number];
  assert.deepEqual((await change("add", "guests", [ben, ann, 999_999])).body, {
    users: [
      { outcome: "added", user_id: ben },
      { outcome: "added", user_id: ann },
      { outcome: "user_not_found", user_id: 999_999 },
    ],
  });
  assert.deepEqual((await change("add", "guests", [ann])).body.users, [
    { outcome: "already_member", user_id: ann },
  ]);
  const { body } = await asAdminGet("/groups/guests");
  assert.deepEqual(
    body.map(({ user_id, outcome }: Record<string, unknown>) => user_id ?? outcome),
    [ann, ben, "done"],
  );
  const csv = await world().call(`GET /groups/guests?after=${ann}`, {
    token: adminToken,
    headers: { accept: "text/csv" },
  });
  assert.match(csv.body, new RegExp(`^user_id,display_name\r\n${ben},[^\r\n]+\r\n$`));
  assert.deepEqual((await change("remove", "guests", [ann, 999_999])).body.users, [
    { outcome: "removed", user_id: ann },
    { outcome: "not_member", user_id: 999_999 },
  ]);
  assert.deepEqual((await asAdminGet("/groups/none")).body, [{ outcome: "done", lines: 0 }]);
});

test("groups: a page at a time, each with its members and its coupons", async () => {
  const members = await world().newUsers(2);
  await change("add", "list-a", members);
  await change("add", "list-c", [members[0] as number]);
  const coupon_id = await upcoming("GROUP-6", "2058-05-07");
  await setGroup(coupon_id, "list-b", "2058-05-07T09:00:00Z");
  const { body: first } = await asAdminGet("/groups?after=list-&page_size=2");
  assert.deepEqual(first, {
    groups: [
      { group_name: "list-a", member_count: 2, coupon_count: 0 },
      { group_name: "list-b", member_count: 0, coupon_count: 1 },
    ],
    next_after: "list-b",
  });
  const { body: rest } = await asAdminGet(`/groups?after=${first.next_after}`);
  assert.deepEqual(rest.groups[0], { group_name: "list-c", member_count: 1, coupon_count: 0 });
  assert.equal(rest.next_after, null);
  assertProblem(
    await asAdminGet("/groups?after=v%20i%20p"),
    400,
    invalid(["after", "must be 1 to 64 letters, digits, - or _"]),
  );
});

test("early: a member gets it, also where others were refused before and while; the start opens it to them", async () => {
  const { issue, newUsers, newCoupon, scratch } = world();
  const coupon_id = await newCoupon({ count: 20, from: "700 days", until: "900 days" });
  const [members, strangers] = [await newUsers(3), await newUsers(3)];
  await change("add", "early-birds", members);
  const ask = async (user_ids: number[]) =>
    Promise.all(user_ids.map(async (user_id) => (await issue(coupon_id, user_id)).body.outcome));
  const refused = ["not_started", "not_started", "not_started"];
  for (let i = 0; i < 20; i++) assert.deepEqual(await ask(strangers), refused);
  // By hand, since set_coupon_group() takes no start that is over. It waits for the leases.
  await scratch.owner`
    update coupon.coupons set eligible_group = 'early-birds', eligible_from = clock_timestamp() where id = ${coupon_id}`;
  assert.deepEqual(await ask([...strangers, members[0] as number]), [...refused, "issued"]);
  for (let i = 0; i < 20; i++) assert.deepEqual(await ask(strangers), refused);
  assert.deepEqual(await ask(members), ["already_issued", "issued", "issued"]);
  const told = await issue(coupon_id, strangers[0] as number);
  assert.ok(told.body.starts_in > 600 * 86_400, "until the start that is the stranger's");
});

const wrong: Wrong[] = [
  [
    "a group without a start",
    "POST /coupons/7/group",
    { group_name: "vip", eligible_from: null },
    ["eligible_from", "must be null where group_name is, and only there"],
  ],
  [
    "a start without a group",
    "POST /coupons/7/group",
    { group_name: null, eligible_from: "2058-01-01T00:00:00Z" },
    ["eligible_from", "must be null where group_name is, and only there"],
  ],
  [
    "a name that is none",
    "POST /coupons/7/group",
    { group_name: "v i p", eligible_from: "2058-01-01T00:00:00Z" },
    ["group_name", "must be 1 to 64 letters, digits, - or _"],
  ],
  ["nobody", "POST /groups/vip/add", { user_ids: [] }, ["user_ids", "must not be empty"]],
  ["one twice", "POST /groups/vip/add", { user_ids: [1, 1] }, ["user_ids", "must not repeat a user_id"]],
  ["no user's number", "POST /groups/vip/remove", { user_ids: [0] }, ["user_ids.0", "must be at least 1"]],
];
for (const [name, run] of wrongBodyTests(wrong)) test(name, run);

test("400: a name in a path that is none", async () => {
  for (const name of ["v%20i%20p", "%C3%A9", "a".repeat(65)])
    assertProblem(
      await asAdminGet(`/groups/${name}`),
      400,
      invalid(["group_name", "must be 1 to 64 letters, digits, - or _"]),
    );
});

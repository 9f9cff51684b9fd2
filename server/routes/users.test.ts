/** Users: imported as one body and as lines, listed; and what one of them holds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { adminToken, assertProblem, serviceToken, userToken } from "../../bench/harness/app.ts";
import { NOBODY, routesWorld, WRONG_IDS } from "../../bench/harness/routes.ts";

const { world, asAdmin, asUser, holder, outcomeTests, wrongBodyTests, wrongTargetTests } = routesWorld();

test("users: created, updated, unchanged", async () => {
  // As PostgreSQL's array syntax could misread them.
  const names = ["NULL", 'a "quoted" one', "back\\slash", "{1,2}", " , ", "Zoë 🎟️"];
  const users = names.map((display_name, i) => ({ user_id: 8_000_000 + i, display_name }));
  const outcomesOf = async (given: object[]) =>
    (await asAdmin("POST /users", { users: given })).body.users.map(
      (row: { outcome: string }) => row.outcome,
    );
  assert.deepEqual(await asAdmin("POST /users", { users }).then((answer) => [answer.status, answer.body]), [
    200,
    { users: users.map(({ user_id }) => ({ outcome: "created", user_id })) },
  ]);
  const stored = await world().scratch.owner`
    select display_name from coupon.users where id >= 8000000 and id < 8000010 order by id`;
  assert.deepEqual(
    stored.map((row) => row["display_name"]),
    names,
  );
  const renamed = users.map((user, i) => (i === 0 ? { ...user, display_name: "Ann" } : user));
  assert.deepEqual(await outcomesOf(renamed), ["updated", ...Array(names.length - 1).fill("unchanged")]);
});

test("users in lines: each is answered, a wrong one is told, and they come back as they are", async () => {
  const first = 7_000_001;
  const text = [
    `{"user_id": ${first}, "display_name": "Ann"}`,
    '{"user_id": 0, "display_name": "Nobody"}',
    `{"user_id": ${first + 1}, "display_name": "Ben"}`,
  ].join("\n");
  const send = (headers = {}) =>
    world().call("POST /users/import?reason=moved", {
      token: adminToken,
      body: text,
      headers: { "content-type": "application/x-ndjson", ...headers },
    });
  const { status, body } = await send();
  assert.equal(status, 200);
  assert.deepEqual(body, [
    { line: 1, outcome: "created", user_id: first },
    { line: 2, outcome: "invalid", detail: "user_id: must be at least 1" },
    { line: 3, outcome: "created", user_id: first + 1 },
    { outcome: "done", lines: 3, created: 2, updated: 0, unchanged: 0, forgotten: 0, invalid: 1 },
  ]);
  assert.deepEqual((await send()).body.at(-1).unchanged, 2);
  const [trail] = await world().scratch.admin`select reason, actor, new_values from audit_trail() limit 1`;
  assert.deepEqual(trail, { reason: "moved", actor: "admin:root", new_values: { created: 2, updated: 0 } });
  assert.deepEqual(
    (await world().call(`GET /users?after=${first - 1}`, { token: adminToken })).body.slice(0, 2),
    [
      { user_id: first, display_name: "Ann" },
      { user_id: first + 1, display_name: "Ben" },
    ],
  );
  assertProblem(await send({ "content-type": "application/json" }), 415, {
    outcome: "invalid_request",
    detail: "The body must be application/x-ndjson.",
  });
});

for (const [name, run] of outcomeTests("forget_user", {
  user_not_found: async () => [await asAdmin(`POST /users/${NOBODY}/forget`), { user_id: NOBODY }],
  already_forgotten: async () => {
    const user_id = await world().newUser();
    await asAdmin(`POST /users/${user_id}/forget`);
    return [await asAdmin(`POST /users/${user_id}/forget`), { user_id }];
  },
  forgotten: async () => {
    const { user_id, coupon_id } = await holder("order 1");
    const answer = await asAdmin(`POST /users/${user_id}/forget`, { reason: "asked by letter" });
    const again = await world().issue(coupon_id, user_id);
    assert.deepEqual([again.status, again.body.outcome, again.body.position], [200, "already_issued", 1]);
    const next = await world().issue(await world().newCoupon(), user_id);
    assert.deepEqual([next.status, next.body.outcome], [404, "user_not_found"]);
    const { body } = await asUser(user_id, `GET /users/${user_id}/coupons`);
    assert.equal(body.coupons[0].use_reference, "(forgotten)");
    const users = [{ user_id, display_name: "Ann" }];
    assert.deepEqual((await asAdmin("POST /users", { users })).body.users, [
      { outcome: "forgotten", user_id },
    ]);
    return [answer, { user_id }];
  },
}))
  test(name, run);

test("a list of 10,000 users", async () => {
  const users = Array.from({ length: 10_000 }, (_, i) => ({
    user_id: 7_000_000 + i,
    display_name: "n".repeat(200),
  }));
  const { status, body } = await asAdmin("POST /users", { users });
  assert.deepEqual([status, body.users.length], [200, 10_000]);
});

for (const [name, run] of wrongBodyTests([
  ["no users", "POST /users", { users: [] }, ["users", "must not be empty"]],
  ["users an object", "POST /users", { users: {} }, ["users", "must be an array"]],
  [
    "a user twice",
    "POST /users",
    { users: [1, 1].map((user_id) => ({ user_id, display_name: "n" })) },
    ["users", "must not repeat a user_id"],
  ],
  [
    "too many users",
    "POST /users",
    { users: Array.from({ length: 10_001 }, (_, i) => ({ user_id: i + 1, display_name: "n" })) },
    ["users", "must have at most 10000 users"],
  ],
  [
    "a user's name",
    "POST /users",
    {
      users: [
        { user_id: 1, display_name: "n" },
        { user_id: 2, display_name: "\0" },
      ],
    },
    ["users.1.display_name", "must be valid text"],
  ],
]))
  test(name, run);

test("wallet: a user's own, a service's and an admin's any", async () => {
  const { user_id, coupon_id } = await holder();
  for (const token of [userToken(user_id), serviceToken, adminToken]) {
    const { body } = await world().call(`GET /users/${user_id}/coupons`, { token });
    assert.deepEqual(
      body.coupons.map((coupon: { coupon_id: number }) => coupon.coupon_id),
      [coupon_id],
    );
  }
  assertProblem(await asUser(user_id, `GET /users/${user_id + 1}/coupons`), 403, {
    outcome: "forbidden",
    detail: "A user acts for itself only.",
  });
});

test("wallet: pages of several days, the newest first", async () => {
  const user_id = await world().newUser();
  const other = await world().newUser();
  const { owner } = world().scratch;
  const ids = await Promise.all(Array.from({ length: 5 }, () => world().newCoupon()));
  await owner.begin(async (sql) => {
    await sql`alter table coupon.user_coupons disable trigger user`;
    for (const [day, coupon] of ids.entries())
      for (const [place, holds] of [user_id, other].entries())
        await sql`
          insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position, used_date, use_reference)
          select ${holds}, c.id, t.at, c.expiry, t.at::date, ${place + 1},
            case when ${day} = 1 then t.at end, case when ${day} = 1 then 'r' end
          from coupon.coupons c
          cross join (select timestamptz '2029-05-01 10:00:00.5Z' + ${day} * interval '1 day' - interval '4 years') t (at)
          where c.id = ${coupon}`;
    await sql`alter table coupon.user_coupons enable trigger user`;
  });

  const page = async (query: string) =>
    (await world().call(`GET /users/${user_id}/coupons${query}`, { token: serviceToken })).body;
  const days = (body: { coupons: { issued_on: string }[] }) => body.coupons.map((row) => row.issued_on);
  assert.deepEqual(days(await page("")), [
    "2025-05-05",
    "2025-05-04",
    "2025-05-03",
    "2025-05-02",
    "2025-05-01",
  ]);
  assert.equal((await page("")).next_before, null);

  const first = await page("?page_size=2");
  assert.deepEqual([days(first), first.next_before], [["2025-05-05", "2025-05-04"], "2025-05-04"]);
  const second = await page("?page_size=2&before=2025-05-04");
  assert.deepEqual([days(second), second.next_before], [["2025-05-03", "2025-05-02"], "2025-05-02"]);
  const third = await page("?page_size=2&before=2025-05-02");
  assert.deepEqual([days(third), third.next_before], [["2025-05-01"], null]);
  assert.deepEqual(await page("?before=2025-05-01"), { user_id, coupons: [], next_before: null });

  const { code, expiry, claim_code, ...used } = second.coupons[1];
  assert.match(claim_code, /^....-....-....$/);
  assert.deepEqual(used, {
    state: "used",
    coupon_id: ids[1],
    message: "message",
    description: "",
    position: 1,
    issued_on: "2025-05-02",
    issued_at: "2025-05-02T10:00:00.500000Z",
    used_date: "2025-05-02T10:00:00.500000Z",
    use_reference: "r",
  });
});

test("wallet: of nobody", async () => {
  const { status, body } = await world().call(`GET /users/${NOBODY}/coupons`, { token: serviceToken });
  assert.deepEqual([status, body], [200, { user_id: NOBODY, coupons: [], next_before: null }]);
});

for (const [name, run] of wrongTargetTests([
  ["/users/1/coupons?page_size=0", "page_size", "must be a whole number from 1 to 1000"],
  ["/users/1/coupons?page_size=1001", "page_size", "must be at most 1000"],
  ["/users/1/coupons?page_size=1&page_size=2", "page_size", "must be given once"],
  ["/users/1/coupons?before=2030-02-30", "before", "must be a day like 2026-11-22"],
  ["/users/1/coupons?before=yesterday", "before", "must be a day like 2026-11-22"],
  ["/users/1/coupons?after=2030-01-01", "after", "is not a member of this request"],
  ...WRONG_IDS.map(([id, why]): [string, string, string] => [`/users/${id}/coupons`, "user_id", why]),
]))
  test(name, run);

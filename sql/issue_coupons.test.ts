import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, crowd, coupon, upcoming, issue, expire, grantedBefore } = await testDatabase();
const unknown = 999_999;

/** Outcome, user and position of each row, in the order of the rows. */
function batch(coupon_id: number, user_ids: number[]) {
  return rows(admin`
    select outcome, user_id::integer, position from issue_coupons(${coupon_id}, ${user_ids}::bigint[])`);
}

/** A user who got today's coupon elsewhere. */
async function spentUser() {
  const spent = await user();
  assert.equal(await issue(spent, await coupon()), "issued");
  return spent;
}

// First, because a session plans its first calls with the values that they got: null, and two dimensions.
test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from issue_coupons(null, '{1}')`, "coupon_id", "22004");
  await refusesArgument(admin`select from issue_coupons(1, null)`, "user_ids", "22004");
  await refusesArgument(admin`select from issue_coupons(1, '{{1,2},{3,4}}')`, "user_ids", "22023");
  await refusesArgument(admin`select from issue_coupons(1, '{1,null}')`, "user_ids", "22023");
  const tooMany = admin`select from issue_coupons(1, array(select generate_series(1, 10001)::bigint))`;
  await refusesArgument(tooMany, "user_ids", "22023");
});

test("issued: positions in order of arrival, whatever the ids, at one instant", async () => {
  const [lunch, users] = [await coupon(), (await crowd(5)).reverse()];
  assert.deepEqual(
    await batch(lunch, users),
    users.map((user_id, place) => ["issued", user_id, place + 1]),
  );
  assert.deepEqual(
    await rows(owner`
      select g.user_id::integer, g.position from coupon.user_coupons g where g.coupon_id = ${lunch} order by position`),
    users.map((user_id, place) => [user_id, place + 1]),
  );
  assert.equal(
    await value(
      owner`select count(distinct issued_at)::integer from coupon.user_coupons where coupon_id = ${lunch}`,
    ),
    1,
  );
});

test("issued: a batch goes on where the last one ended", async () => {
  const [lunch, users] = [await coupon(), await crowd(5)];
  await batch(lunch, users.slice(0, 2));
  assert.deepEqual(
    (await batch(lunch, users.slice(2))).map((row) => row[2]),
    [3, 4, 5],
  );
});

test("the issued row tells day and instant, as the grant has them", async () => {
  const [lunch, holder] = [await coupon(), await user()];
  const told = await rows(admin`
    select issued_on::text, issued_at::text, starts_in from issue_coupons(${lunch}, array[${holder}]::bigint[])`);
  const kept = owner`select issued_on::text, issued_at::text, null from coupon.user_coupons where coupon_id = ${lunch}`;
  assert.deepEqual(told, await rows(kept));
});

test("one row an element, in the order of the input, each with its own outcome", async () => {
  const lunch = await coupon();
  const [holder, spent, a, b] = [await user(), await spentUser(), await user(), await user()];
  await issue(holder, lunch);
  assert.deepEqual(await batch(lunch, [spent, b, unknown, holder, a]), [
    ["daily_limit_reached", spent, null],
    ["issued", b, 2],
    ["user_not_found", unknown, null],
    ["already_issued", holder, 1],
    ["issued", a, 3],
  ]);
});

test("already_issued: a user who stands in the batch again, with the position it just got", async () => {
  const [lunch, a, b] = [await coupon(), await user(), await user()];
  assert.deepEqual(await batch(lunch, [a, b, a, b, a]), [
    ["issued", a, 1],
    ["issued", b, 2],
    ["already_issued", a, 1],
    ["already_issued", b, 2],
    ["already_issued", a, 1],
  ]);
});

test("a refused user who stands in the batch again is refused again", async () => {
  const [lunch, spent] = [await coupon(), await spentUser()];
  assert.deepEqual(await batch(lunch, [spent, unknown, spent, unknown]), [
    ["daily_limit_reached", spent, null],
    ["user_not_found", unknown, null],
    ["daily_limit_reached", spent, null],
    ["user_not_found", unknown, null],
  ]);
});

test("sold out in the middle: everybody after the last unit, but for holders", async () => {
  const lunch = await coupon({ count: 3 });
  const [holder, spent, a, b, late] = [
    await user(),
    await spentUser(),
    await user(),
    await user(),
    await user(),
  ];
  await issue(holder, lunch);
  assert.deepEqual(await batch(lunch, [unknown, a, spent, b, late, unknown, spent, holder, a, late]), [
    ["user_not_found", unknown, null],
    ["issued", a, 2],
    ["daily_limit_reached", spent, null],
    ["issued", b, 3],
    ["sold_out", late, null],
    ["sold_out", unknown, null],
    ["sold_out", spent, null],
    ["already_issued", holder, 1],
    ["already_issued", a, 2],
    ["sold_out", late, null],
  ]);
  assert.deepEqual(await rows(owner`select issued, count from coupon.coupons where id = ${lunch}`), [[3, 3]]);
});

test("sold out at the very end: the last user gets the last unit", async () => {
  const [lunch, a, b] = [await coupon({ count: 2 }), await user(), await user()];
  assert.deepEqual(await batch(lunch, [a, b, unknown]), [
    ["issued", a, 1],
    ["issued", b, 2],
    ["sold_out", unknown, null],
  ]);
});

test("exactly as issue_coupon() one after another", async () => {
  const [together, apart] = [await coupon({ count: 3 }), await coupon({ count: 3 })];
  const makeUsers = async () => {
    const [a, b, c, d, spent] = [
      await user(),
      await user(),
      await user(),
      await user(),
      await spentUser(),
    ] as const;
    return [unknown, a, spent, b, a, c, d, spent, unknown, b];
  };
  const one: unknown[][] = [];
  for (const user_id of await makeUsers())
    one.push(...(await rows(admin`select outcome, position from issue_coupon(${user_id}, ${apart})`)));
  const all = (await batch(together, await makeUsers())).map(([outcome, , position]) => [outcome, position]);
  assert.deepEqual(all, one);
});

test("no element, no row", async () => {
  assert.deepEqual(await batch(await coupon(), []), []);
  assert.deepEqual(await batch(unknown, []), []);
});

test("a common refusal: all but the holders", async () => {
  const [lunch, holder, stranger] = [await coupon(), await user(), await user()];
  await issue(holder, lunch);
  await expire(lunch);
  assert.deepEqual(await batch(lunch, [stranger, holder, unknown]), [
    ["ended", stranger, null],
    ["already_issued", holder, 1],
    ["ended", unknown, null],
  ]);
});

test("coupon_not_found: each row", async () => {
  const known = await user();
  assert.deepEqual(await batch(unknown, [known, unknown]), [
    ["coupon_not_found", known, null],
    ["coupon_not_found", unknown, null],
  ]);
});

test("starts_in stands in every row of a coupon that has not started", async () => {
  const counts = admin`
    select count(*)::integer, count(starts_in)::integer, count(distinct starts_in)::integer
    from issue_coupons(${await upcoming(1)}, ${await crowd(3)}::bigint[])`;
  assert.deepEqual(await rows(counts), [[3, 3, 1]]);
});

test("10000 users in one batch, in random order", async () => {
  const [lunch, users] = [await coupon({ count: 9_999 }), await crowd(10_000)];
  const shuffled = users.map((id) => ({ id, key: (id * 7919) % 10_007 })).sort((a, b) => a.key - b.key);
  const order = shuffled.map(({ id }) => id);
  const answers = await batch(lunch, order);
  assert.deepEqual(
    answers,
    order.map((id, place) => (place < 9_999 ? ["issued", id, place + 1] : ["sold_out", id, null])),
  );
});

/** What a batch left behind in its transaction. */
function traces(coupon_id: number, user_ids: number[]) {
  return admin.begin(async (sql) => {
    await sql`select from issue_coupons(${coupon_id}, ${user_ids}::bigint[])`;
    const [trace] = await sql`
      select
        pg_current_xact_id_if_assigned() is not null as wrote,
        count(*) filter (where l.relation = 'coupon.issuing'::regclass)::integer as issuing,
        count(*) filter (where l.mode in ('RowShareLock', 'RowExclusiveLock'))::integer as row_locks
      from pg_locks l where l.pid = pg_backend_pid()`;
    return { ...trace };
  });
}
const none = { wrote: false, issuing: 0, row_locks: 0 };

test("a batch that grants nobody takes no lock and no transaction id", async () => {
  const [lunch, holder, spent] = [await coupon({ count: 2 }), await user(), await spentUser()];
  await issue(holder, lunch);
  assert.deepEqual(await traces(lunch, [holder, spent, unknown]), none);
  const [older, since] = [await coupon({ from: "-3 days", count: 2 }), await user()];
  await grantedBefore(1, since, older);
  assert.deepEqual(await traces(older, [since]), none); // of yesterday
  assert.deepEqual(await traces(lunch, []), none);
  assert.deepEqual(await traces(unknown, [holder]), none);
  await issue(await user(), lunch);
  assert.deepEqual(await traces(lunch, [holder, await user(), unknown]), none); // sold out
  await admin`select from pause_coupon(${lunch})`;
  assert.deepEqual(await traces(lunch, [await user()]), none);
  await expire(lunch);
  assert.deepEqual(await traces(lunch, [await user()]), none);
  assert.deepEqual(await traces(await upcoming(2), [await user()]), none);
});

test("a batch that grants somebody takes the one lock", async () => {
  const { wrote, issuing } = await traces(await coupon(), [unknown, await user()]);
  assert.deepEqual({ wrote, issuing }, { wrote: true, issuing: 1 });
});

test("a grant is durable, though the session asked for less", async () => {
  const [lunch, holder] = [await coupon(), await user()];
  const setting = await admin.begin(async (sql) => {
    await sql`set local synchronous_commit = off`;
    await sql`select from issue_coupon(${holder}, ${lunch})`;
    return value(sql`show synchronous_commit`);
  });
  assert.equal(setting, "on");
});

test("all of this left the data whole", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { waiting } from "../bench/harness/waiting.ts";
import { connect } from "../db/connect.ts";

const { owner, admin, watch, apiUrl, user, crowd, coupon, issue } = await testDatabase();
const api = connect(apiUrl, { max: 4 });
test.after(() => api.end({ timeout: 1 }));

type Counts = [coupon_id: number, refused: number, replayed: number][];

const count = (sender: string, number: number, counts: Counts, ago = "0", sql = api) =>
  value(sql`
    select extract(epoch from count_demand(${sender}::uuid, ${number}::bigint, ${ago}::text::interval,
      ${counts.map(([id]) => id)}::bigint[], ${counts.map(([, refused]) => refused)}::integer[],
      ${counts.map(([, , replayed]) => replayed)}::integer[]))::float8`) as Promise<number>;

/** In order of time. */
const demand = (coupon_id: number) =>
  rows(owner`
    select refused::integer, replayed::integer from coupon.demand where coupon_id = ${coupon_id} order by second`);
const asked = (coupon_id: number) => value(admin`select asked::integer from find_coupon(${coupon_id})`);

test("servers add up, in the second of the database clock that was so long ago", async () => {
  const lunch = await coupon();
  const before = await value(
    owner`select date_trunc('second', clock_timestamp() - interval '1 minute')::text`,
  );
  await count(randomUUID(), 1, [[lunch, 100, 1]], "1 minute");
  const after = await value(
    owner`select date_trunc('second', clock_timestamp() - interval '1 minute')::text`,
  );
  const second = await value(owner`select second::text from coupon.demand where coupon_id = ${lunch}`);
  assert.ok(second === before || second === after, `${before} ${second} ${after}`);
  await owner`update coupon.demand set second = date_trunc('second', now()) where coupon_id = ${lunch}`;
  const isSame = async () => {
    const at = owner`select (clock_timestamp() - second)::text from coupon.demand where coupon_id = ${lunch}`;
    await count(randomUUID(), 1, [[lunch, 20, 0]], `${await value(at)}`);
  };
  await isSame();
  assert.deepEqual(await demand(lunch), [[120, 1]]);
});

test("the same number again adds nothing, a higher one does, and so does another sender's", async () => {
  const [lunch, sender] = [await coupon(), randomUUID()];
  await count(sender, 1, [[lunch, 3, 1]]);
  await count(sender, 1, [[lunch, 3, 1]]);
  await count(sender, 1, [[lunch, 500, 500]]);
  assert.equal(await asked(lunch), 4);
  await count(sender, 2, [[lunch, 3, 1]]);
  await count(sender, 1, [[lunch, 3, 1]]);
  assert.equal(await asked(lunch), 8);
  await count(randomUUID(), 1, [[lunch, 3, 1]]);
  assert.equal(await asked(lunch), 12);
});

test("the same call twice at once adds once", async () => {
  const [lunch, sender] = [await coupon(), randomUUID()];
  const first = await api.reserve();
  await first`begin`;
  await count(sender, 1, [[lunch, 7, 0]], "0", first as unknown as typeof api);
  const second = count(sender, 1, [[lunch, 7, 0]]);
  await waiting(watch);
  await first`commit`;
  first.release();
  await second;
  assert.deepEqual(await demand(lunch), [[7, 0]]);
});

test("a coupon twice in one call, one that is not there, and none at all", async () => {
  const [lunch, sender] = [await coupon(), randomUUID()];
  await count(sender, 1, [
    [lunch, 1, 2],
    [999_999, 5, 5],
    [lunch, 10, 20],
  ]);
  assert.deepEqual(await demand(lunch), [[11, 22]]);
  await count(sender, 2, []);
  assert.equal(await value(owner`select count(*)::integer from coupon.demand where coupon_id = 999999`), 0);
});

test("it answers how long the second of the database clock still lasts", async () => {
  for (const _ of [1, 2, 3]) {
    const told = api`
      select left_of > '0' and left_of <= '1 second',
        date_trunc('second', clock_timestamp() + left_of) >= statement_timestamp() + left_of
      from count_demand(${randomUUID()}, 1, '0', '{}', '{}', '{}') left_of`;
    assert.deepEqual(await rows(told), [[true, true]]);
  }
});

test("asked: grants in psql at once, what servers refused and replayed when they tell; requests, not people", async () => {
  const lunch = await coupon({ count: 2 });
  assert.equal(await asked(lunch), 0);
  const holder = await user();
  await issue(holder, lunch);
  await issue(holder, lunch);
  assert.equal(await asked(lunch), 1, "a replay in psql is nobody's request");
  await admin`select from issue_coupons(${lunch}, ${await crowd(5)}::bigint[])`;
  assert.equal(await asked(lunch), 2, "nor is a refusal");
  await count(randomUUID(), 1, [[lunch, 40, 2]]);
  await count(randomUUID(), 1, [[lunch, 40, 0]], "1 hour");
  assert.equal(await asked(lunch), 84);
  assert.deepEqual(await rows(admin`select asked::integer from coupon_stats(${lunch})`), [[84]]);
  assert.deepEqual(await rows(admin`select asked from live_coupons() where coupon_id = ${lunch}`), [[null]]);
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});

test("who issues waits for no count, and no count for who issues", async () => {
  const [lunch, holder, other] = [await coupon({ count: 5 }), await user(), await user()];
  const counting = await api.reserve();
  await counting`begin`;
  await count(randomUUID(), 1, [[lunch, 1, 0]], "0", counting as unknown as typeof api);
  assert.equal(await issue(holder, lunch), "issued");
  await counting`commit`;
  counting.release();
  await owner.begin(async (sql) => {
    await sql`select from issue_coupon(${other}, ${lunch})`;
    await count(randomUUID(), 1, [[lunch, 1, 0]], "1 minute");
  });
  assert.equal(await asked(lunch), 4);
});

test("a coupon that is withdrawn leaves no demand, and what is told of it later is left out", async () => {
  const [lunch, sender] = [await coupon(), randomUUID()];
  await count(sender, 1, [[lunch, 9, 0]]);
  assert.equal(await value(admin`select outcome from withdraw_coupon(${lunch})`), "withdrawn");
  await count(sender, 2, [[lunch, 9, 0]]);
  assert.deepEqual(await demand(lunch), []);
});

test("a sender that is silent for a day is forgotten by the first call of another one", async () => {
  const [old, fresh] = [randomUUID(), randomUUID()];
  await count(old, 5, []);
  await owner`update coupon.demand_senders set told_at = told_at - interval '25 hours' where sender = ${old}`;
  await count(fresh, 1, []);
  const known = owner`select sender from coupon.demand_senders where sender in (${old}, ${fresh})`;
  assert.deepEqual(await rows(known), [[fresh]]);
});

const call = (given: Record<string, string>) => {
  const all = {
    ...{ sender: `'${randomUUID()}'`, number: "1", ago: "'0'" },
    ...{ coupon_ids: "'{1}'", refused: "'{0}'", replayed: "'{0}'", ...given },
  };
  return `select from count_demand(${Object.entries(all)
    .map(([name, sql]) => `${name} => ${sql}`)
    .join()})`;
};
for (const [given, argument, code] of [
  [{ sender: "null" }, "sender", "22004"],
  [{ number: "null" }, "number", "22004"],
  [{ ago: "null" }, "ago", "22004"],
  [{ ago: "'-1 microsecond'" }, "ago", "22023"],
  [{ ago: "'31 days 1 second'" }, "ago", "22023"],
  [{ coupon_ids: "null" }, "coupon_ids", "22004"],
  [{ coupon_ids: "'{{1}}'" }, "coupon_ids", "22023"],
  [{ coupon_ids: "array_fill(1, array[10001])" }, "coupon_ids", "22023"],
  [{ refused: "'{}'" }, "refused", "22023"],
  [{ refused: "'{-1}'" }, "refused", "22023"],
  [{ refused: "null" }, "refused", "22023"],
  [{ replayed: "'{1,2}'" }, "replayed", "22023"],
  [{ replayed: "'{-1}'" }, "replayed", "22023"],
] as const)
  test(`refuses ${JSON.stringify(given)}`, () => refusesArgument(api.unsafe(call(given)), argument, code));

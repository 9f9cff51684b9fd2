import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, coupon } = await testDatabase();

const fold = (at_most = 5000) => value(admin`select fold_demand(${at_most})`);
const told = (coupon_id: number, second: string, refused: number, replayed: number) =>
  owner`insert into coupon.demand values (${coupon_id}, ${second}::text::timestamptz, ${refused}, ${replayed})`;
const demand = () =>
  rows(owner`
    select coupon_id::integer, to_char(second at time zone 'UTC', 'MM-DD HH24:MI:SS'), refused::integer, replayed::integer
    from coupon.demand where second < '2026-02-01Z' order by coupon_id, second`);

test("seconds of a month ago become quarters of an hour, a step at a time, and sums stay", async () => {
  const [lunch, dinner] = [await coupon(), await coupon()];
  for (const [coupon_id, second, refused, replayed] of [
    [lunch, "2026-01-05 12:00:00Z", 1000, 1],
    [lunch, "2026-01-05 12:00:01Z", 200, 20],
    [lunch, "2026-01-05 12:14:59Z", 30, 0],
    [lunch, "2026-01-05 12:15:01Z", 4, 0],
    [dinner, "2026-01-05 12:00:01Z", 5, 5],
  ] as const)
    await told(coupon_id, second, refused, replayed);
  await owner`
    insert into coupon.demand
    select ${lunch}::bigint, date_bin('15 minutes', clock_timestamp(), '1970-01-01Z') + interval '1 second', 6, 0`;
  const before = await rows(admin`select asked::integer from coupon_stats(${lunch})`);
  assert.equal(await fold(2), 2);
  assert.equal(await fold(), 2);
  assert.equal(await fold(), 0);
  assert.deepEqual(await demand(), [
    [lunch, "01-05 12:00:00", 1230, 21],
    [lunch, "01-05 12:15:00", 4, 0],
    [dinner, "01-05 12:00:00", 5, 5],
  ]);
  assert.deepEqual(await rows(admin`select asked::integer from coupon_stats(${lunch})`), before);
  assert.equal(before[0]?.[0], 1261);
});

test("a month: 32 days", async () => {
  const lunch = await coupon();
  const ago = (interval: string) => owner`
    insert into coupon.demand
    select ${lunch}::bigint, date_bin('15 minutes', clock_timestamp() - ${interval}::text::interval, '1970-01-01Z') + interval '1 second', 1, 0`;
  await ago("31 days 23 hours");
  await ago("32 days 1 hour");
  assert.equal(await fold(), 1);
});

test("a coupon that is being taken out is left out: neither waits for the other", async () => {
  const [lunch, dinner] = [await coupon(), await coupon()];
  for (const each of [lunch, dinner]) await told(each, "2026-01-06 12:00:01Z", 1, 0);
  await owner.begin(async (sql) => {
    await sql`select from coupon.coupons where id = ${lunch} for update`;
    const folded = admin.begin(async (other) => {
      await other`set local lock_timeout = '1ms'`;
      return value(other`select fold_demand()`);
    });
    assert.equal(await folded, 1);
    await sql`delete from coupon.coupons where id = ${lunch}`;
  });
  assert.deepEqual(
    await rows(owner`select count(*)::integer from coupon.demand where coupon_id = ${lunch}`),
    [[0]],
  );
  assert.equal(await fold(), 0);
});

test("refuses at_most beyond 1 to 100000", async () => {
  for (const at_most of [null, 0, 100_001])
    await refusesArgument(admin`select fold_demand(${at_most}::integer)`, "at_most", "22023");
});

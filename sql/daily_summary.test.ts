import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, coupon, issue, use, expire, today, planted } = await testDatabase();

/** The days, as how long ago they are. */
const summary = (from: number, to: number) =>
  rows(admin`
    select ${today} - day, coupons, count::integer, issued::integer, used::integer, share_used::float
    from daily_summary(${today} - ${from}::integer, ${today} - ${to}::integer)`);

test("the last seven days, with 0 for those without anything", async () => {
  assert.deepEqual(
    await rows(admin`select ${today} - day, coupons, count::text, asked::text, issued::text, used::text, share_used,
      first_issued_at, last_issued_at from daily_summary()`),
    [6, 5, 4, 3, 2, 1, 0].map((ago) => [ago, 0, "0", "0", "0", "0", null, null, null]),
  );
});

test("coupons and count by the day of their start, issued and used by the day of the grant", async () => {
  const [old, b, c] = [
    await coupon({ from: "-5 days", count: 100 }),
    await coupon({ from: "-2 days", count: 20 }),
    await coupon({ from: "-49 hours", count: 30 }),
  ];
  await planted(old, [8, "4 days"]);
  await planted(b, [3, "47 hours"], [2, "2 days -2 hours"]);
  const [ann, ben, cid] = [await user(), await user(), await user()];
  for (const [holder, lunch] of [
    [ann, old],
    [ben, c],
    [cid, c],
  ] as const)
    assert.equal(await issue(holder, lunch), "issued");
  for (const [holder, lunch] of [
    [ann, old],
    [cid, c],
  ] as const)
    assert.equal(await use(holder, lunch, "r"), "used");
  await expire(c);
  assert.deepEqual(await summary(6, 0), [
    [6, 0, 0, 0, 0, null],
    [5, 1, 100, 0, 0, null],
    [4, 0, 0, 8, 0, 0],
    [3, 0, 0, 0, 0, null],
    [2, 2, 50, 5, 0, 0],
    [1, 0, 0, 0, 0, null],
    [0, 0, 0, 3, 2, 0.6667],
  ]);
  assert.deepEqual(await summary(2, 2), [[2, 2, 50, 5, 0, 0]]);
  assert.deepEqual((await summary(365, 0)).length, 366);
  const grants = await rows(owner`
    select min(issued_at)::text, max(issued_at)::text from coupon.user_coupons where issued_on = ${today} - 2`);
  assert.deepEqual(
    await rows(
      admin`select first_issued_at::text, last_issued_at::text from daily_summary(${today} - 2, ${today} - 2)`,
    ),
    grants,
  );
  assert.notEqual(grants[0]?.[0], grants[0]?.[1]);
});

test("asked: by the day of the coupon's start, whenever it was", async () => {
  const lunch = await coupon({ from: "-9 days", count: 200 });
  await issue(await user(), lunch);
  await owner`insert into coupon.demand values
    (${lunch}, date_trunc('second', now() - interval '9 days'), 100, 5), (${lunch}, date_trunc('second', now()), 10, 0)`;
  const asked = admin`select asked::integer from daily_summary(${today} - 9, ${today} - 8)`;
  assert.deepEqual(await rows(asked), [[116], [0]]);
});

test("one end alone: to today, or seven days", async () => {
  const days = (call: string) =>
    rows(admin`select ${today} - min(day), ${today} - max(day) from ${admin.unsafe(call)}`);
  const ago = async (n: number) => `'${await value(admin`select (${today} - ${n}::integer)::text`)}'`;
  assert.deepEqual(await days(`daily_summary(first_day => ${await ago(2)})`), [[2, 0]]);
  assert.deepEqual(await days(`daily_summary(last_day => ${await ago(2)})`), [[8, 2]]);
});

test("reads the grants of the days that are asked for, by the key of the day, and no others", async () => {
  const scans = (days: number) =>
    owner.begin(async (sql) => {
      const now = () =>
        rows(sql`
          select pg_stat_get_xact_numscans('coupon.user_coupons'::regclass)::integer,
            pg_stat_get_xact_tuples_returned('coupon.user_coupons_one_per_user_and_day'::regclass)::integer`);
      const [[tableBefore = 0, before = 0] = []] = (await now()) as number[][];
      await sql`select from daily_summary(${today} - ${days}::integer, ${today} - 1)`;
      const [[table = 0, after = 0] = []] = (await now()) as number[][];
      return [table - tableBefore, after - before];
    });
  assert.deepEqual(await scans(1), [0, 0]);
  assert.deepEqual(await scans(3), [0, 5]);
  assert.deepEqual(await scans(6), [0, 13]);
});

const bad: [string, string][] = [
  ["'2026-05-05', '2026-05-04'", "last_day"],
  ["'2025-05-05', '2026-05-06'", "first_day"],
  ["'-infinity', '2026-05-06'", "first_day"],
  ["'2026-05-06', 'infinity'", "last_day"],
  ["null, 'infinity'", "last_day"],
  ["null, '4714-11-24 BC'", "last_day"],
];
for (const [days, argument] of bad)
  test(`refuses ${days}`, () =>
    refusesArgument(admin.unsafe(`select from daily_summary(${days})`), argument, "22023"));

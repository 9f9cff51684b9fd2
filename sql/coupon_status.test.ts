import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase, value } from "../bench/harness/rows.ts";

const { admin, user, coupon, upcoming, issue, planted } = await testDatabase();

const states = () => rows(admin`select coupon_id::integer, state, paused from coupon_status()`);
const status = (coupon_id: number) =>
  admin`(select s.* from coupon_status() s where s.coupon_id = ${coupon_id})`;

test("nothing on offer, no row", async () => {
  assert.deepEqual(await states(), []);
});

test("upcoming, ended today, paused, sold_out, live: earliest first, those that ended before today left out", async () => {
  await coupon({ from: "-52 days", until: "-1 day" });
  const [later, live, ended, soldOut] = [
    await upcoming(9),
    await coupon({ from: "-1 hour" }),
    await coupon({ from: "-2 hours", until: "-1 second", count: 11 }),
    await coupon({ from: "-54 days", count: 1 }),
  ];
  const [soon, paused] = [await upcoming(8), await coupon({ from: "-53 days" })];
  await issue(await user(), soldOut);
  for (const stopped of [soon, paused]) await admin`select from pause_coupon(${stopped})`;
  assert.deepEqual(await states(), [
    [soldOut, "sold_out", false],
    [paused, "paused", true],
    [ended, "ended", false],
    [live, "live", false],
    [soon, "upcoming", true],
    [later, "upcoming", false],
  ]);
});

test("ended before paused, paused before sold_out: as issuing refuses", async () => {
  const [ended, soldOut] = [
    await coupon({ from: "-3 hours", until: "-1 second", count: 12 }),
    await coupon({ from: "-55 days", count: 1 }),
  ];
  await issue(await user(), soldOut);
  for (const stopped of [ended, soldOut]) await admin`select from pause_coupon(${stopped})`;
  assert.equal(await value(admin`select state from ${status(ended)} s`), "ended");
  assert.equal(await value(admin`select state from ${status(soldOut)} s`), "paused");
});

test("count, issued and remaining are the coupon's; starts_in counts down, since_start up", async () => {
  const [lunch, later] = [await coupon({ count: 5 }), await upcoming(3)];
  for (const _ of [1, 2]) await issue(await user(), lunch);
  assert.deepEqual(
    await rows(admin`
      select s.code = c.code, s.count, s.issued, s.remaining, s.starts_in,
        c.start_time + s.since_start between statement_timestamp() and clock_timestamp()
      from ${status(lunch)} s, find_coupon(${lunch}) c`),
    [[true, 5, 2, 3, null, true]],
  );
  assert.deepEqual(
    await rows(admin`
      select s.issued, s.remaining, s.since_start,
        c.start_time - s.starts_in between statement_timestamp() and clock_timestamp()
      from ${status(later)} s, find_coupon(${later}) c`),
    [[0, 10, null, true]],
  );
});

const rates = (coupon_id: number) =>
  rows(admin`select s.per_second_10s::text, s.per_second_60s::text from ${status(coupon_id)} s`);

test("grants a second, of the last 10 and the last 60", async () => {
  const [busy, tiring, idle, none] = [
    await coupon({ count: 1000 }),
    await coupon({ count: 1000 }),
    await coupon({ count: 1000 }),
    await coupon({ count: 1000 }),
  ];
  await planted(busy, [7, "2 minutes"], [100, "61 seconds"], [20, "30 seconds"], [31, "1 second"], [1, "0"]);
  await planted(tiring, [7, "2 minutes"], [20, "30 seconds"], [10, "20 seconds"]);
  await planted(idle, [7, "2 minutes"], [100, "61 seconds"]);
  assert.deepEqual(await rates(busy), [["3.2", "0.87"]]);
  assert.deepEqual(await rates(tiring), [["0.0", "0.50"]]);
  assert.deepEqual(await rates(idle), [["0.0", "0.00"]]);
  assert.deepEqual(await rates(none), [["0.0", "0.00"]]);
  const last = (coupon_id: number) =>
    value(admin`
      select s.last_issued_at = (select max(g.issued_at) from coupon.user_coupons g where g.coupon_id = ${coupon_id})
      from ${status(coupon_id)} s`);
  assert.deepEqual([await last(busy), await last(idle), await last(none)], [true, true, null]);
});

test("probes for the last grant of each coupon, and 24 times more at the most for one with 4096 that is busy", async () => {
  const other = await testDatabase();
  const [busy, idle] = [await other.coupon({ count: 5000 }), await other.coupon({ count: 5000 })];
  /** How often coupon_status() looks into the index of positions; it never reads the table otherwise. */
  const probes = () =>
    other.owner.begin(async (sql) => {
      const scans = async () =>
        (await rows(sql`
          select pg_stat_get_xact_numscans(indexrelid)::integer from pg_index
          where indexrelid = 'coupon.user_coupons_one_per_position'::regclass
          union all
          select sum(pg_stat_get_xact_numscans(r.oid))::integer
          from (
            select indrelid from pg_index where indrelid = 'coupon.user_coupons'::regclass
            union select indexrelid from pg_index where indrelid = 'coupon.user_coupons'::regclass
          ) r (oid)`)) as [[number], [number]];
      const [[before], [allBefore]] = await scans();
      await sql`select from coupon_status()`;
      const [[after], [allAfter]] = await scans();
      assert.equal(after - before, allAfter - allBefore);
      return after - before;
    });
  assert.equal(await probes(), 2);
  await other.planted(idle, [4000, "61 seconds"]);
  await other.planted(busy, [4000, "61 seconds"]);
  assert.equal(await probes(), 2);
  await other.planted(busy, [48, "30 seconds"], [48, "1 second"]);
  const some = await probes();
  assert.ok(some > 2 && some <= 2 + 24, `${some}`);
});

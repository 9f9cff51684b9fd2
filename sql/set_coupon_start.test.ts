import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, coupon, upcoming, issue } = await testDatabase({ time_zone: "UTC" });

const move = (coupon_id: number | null, start_time: string | null) => admin`
  select outcome, live_on::text, slot, taken_by::integer, warning
  from set_coupon_start(${coupon_id}, ${start_time}::text::timestamptz)`;
/** The outcome for a start that is counted from the database clock. */
const startIn = (coupon_id: number, starts_in: string) =>
  value(
    admin`select outcome from set_coupon_start(${coupon_id}, clock_timestamp() + ${starts_in}::interval)`,
  );
const startOf = (coupon_id: number) =>
  value(owner`select start_time::text from coupon.coupons where id = ${coupon_id}`);

/** Coupons of a day from one o'clock on, an hour apart, of 1, 2, 3 units. */
async function onDay(day: string, units = [1, 2, 3]) {
  const ids: number[] = [];
  for (const count of units) {
    const made = admin`
      select coupon_id::integer from create_coupon(${`${day}_${count}`}, 'm', 'd', ${`${day} 0${count}:00Z`}::text::timestamptz,
        '2069-01-01Z', ${count})`;
    ids.push((await value(made)) as number);
  }
  return ids as [number, number, number];
}

test("changed: to another hour of its day, where it keeps its place", async () => {
  const [a, b, c] = await onDay("2059-01-01");
  assert.deepEqual(await rows(move(b, "2059-01-01 05:00Z")), [["changed", "2059-01-01", 2, null, null]]);
  assert.equal(await startOf(b), "2059-01-01 05:00:00+00");
  // And to that which it had, later than the one and earlier than the other.
  assert.deepEqual(await rows(move(b, "2059-01-01 02:00Z")), [["changed", "2059-01-01", 2, null, null]]);
  assert.deepEqual(
    await rows(
      owner`select id::integer from coupon.coupons where live_on = '2059-01-01' order by start_time`,
    ),
    [[a], [b], [c]],
  );
});

test("changed: to another day, where it takes a place, and its own is free", async () => {
  const [a] = await onDay("2059-02-01");
  const [, other] = await onDay("2059-02-02", [2, 3]);
  assert.deepEqual(await rows(move(a, "2059-02-02 01:00Z")), [["changed", "2059-02-02", 3, null, null]]);
  assert.notEqual(other, a);
  assert.deepEqual(
    await rows(owner`select live_on::text, count(*)::integer from coupon.coupons
      where live_on between '2059-02-01' and '2059-02-02' group by 1 order by 1`),
    [
      ["2059-02-01", 2],
      ["2059-02-02", 3],
    ],
  );
  const again = admin`select outcome, slot from create_coupon('NEXT', 'm', 'd', '2059-02-01 01:00Z', '2069-01-01', 1)`;
  assert.deepEqual(await rows(again), [["created", 1]]);
});

test("changed: the day is that of the service's zone", async () => {
  const [a] = await onDay("2059-03-01", [1]);
  await owner.begin(async (sql) => {
    await sql`update coupon.settings set time_zone = 'Asia/Tokyo'`;
    const moved = sql`select outcome, live_on::text from set_coupon_start(${a}, '2059-03-01 15:00Z')`;
    assert.deepEqual(await rows(moved), [["changed", "2059-03-02"]]);
    await sql`update coupon.settings set time_zone = 'UTC'`;
  });
});

test("changed: earlier, and it can be had from then on", async () => {
  const lunch = await upcoming(1);
  assert.equal(await startIn(lunch, "1 hour"), "changed");
  assert.equal(await issue(await user(), lunch), "not_started");
});

test("changed, with a warning: less than a minute until it expires", async () => {
  const [a] = await onDay("2059-04-01", [1]);
  const moved = (start: string) => rows(move(a, start));
  assert.deepEqual(await moved("2068-12-31 23:59:00.000001Z"), [
    ["changed", "2068-12-31", 1, null, "short_lived"],
  ]);
  assert.deepEqual(await moved("2068-12-31 23:59Z"), [["changed", "2068-12-31", 1, null, null]]);
});

test("unchanged: also after it has started", async () => {
  const lunch = await upcoming(2);
  const again = () =>
    value(admin`
      select o.outcome
      from coupon.coupons c cross join lateral set_coupon_start(c.id, c.start_time) o where c.id = ${lunch}`);
  assert.equal(await again(), "unchanged");
  await owner`update coupon.coupons set start_time = clock_timestamp(), slot = 3, count = 77 where id = ${lunch}`;
  assert.equal(await again(), "unchanged");
});

test("already_started: whether something was issued or not", async () => {
  const lunch = await coupon();
  assert.equal(await startIn(lunch, "1 hour"), "already_started");
  await issue(await user(), lunch);
  assert.equal(await startIn(lunch, "1 hour"), "already_started");
});

test("in_the_past: nothing changes", async () => {
  const lunch = await upcoming(3);
  const before = await startOf(lunch);
  assert.equal(await startIn(lunch, "0"), "in_the_past");
  assert.equal(await startIn(lunch, "-1 day"), "in_the_past");
  assert.equal(await startOf(lunch), before);
});

test("not_before_expiry: at it, and after it", async () => {
  const [a] = await onDay("2059-05-01", [1]);
  const refused = [["not_before_expiry", "2059-05-01", 1, null, null]];
  assert.deepEqual(await rows(move(a, "2069-01-01 00:00Z")), refused);
  assert.deepEqual(await rows(move(a, "2070-01-01 00:00Z")), refused);
});

test("start_time_taken, count_taken: by another coupon of that day, which is told", async () => {
  const [a, b] = await onDay("2059-06-01");
  const [other] = await onDay("2059-06-02", [1]);
  assert.deepEqual(await rows(move(a, "2059-06-01 02:00Z")), [
    ["start_time_taken", "2059-06-01", 1, b, null],
  ]);
  assert.deepEqual(await rows(move(a, "2059-06-02 02:00Z")), [["count_taken", "2059-06-01", 1, other, null]]);
});

test("day_full: a fourth coupon, and not one of its own day", async () => {
  const [a] = await onDay("2059-07-01");
  const [fourth] = await onDay("2059-07-02", [4]);
  assert.deepEqual(await rows(move(fourth as number, "2059-07-01 04:00Z")), [
    ["day_full", "2059-07-02", 1, null, null],
  ]);
  assert.equal(await value(move(a, "2059-07-01 04:00Z")), "changed");
});

test("precedence", async () => {
  const [a] = await onDay("2059-08-01");
  const [one, four] = await onDay("2059-08-02", [1, 4]);
  const first = async (coupon_id: number, start: string) => value(move(coupon_id, start));
  assert.equal(await first(await coupon(), "2001-01-01Z"), "already_started");
  assert.equal(await first(a, "2001-01-01Z"), "in_the_past");
  await admin`select from set_coupon_expiry(${four}, '2059-08-02 05:00Z')`;
  assert.equal(await first(four, "2059-08-03 05:00Z"), "not_before_expiry");
  await admin`select from set_coupon_expiry(${four}, '2069-01-01Z')`;
  assert.equal(await first(one, "2059-08-01 01:00Z"), "start_time_taken");
  assert.equal(await first(one, "2059-08-01 04:00Z"), "count_taken");
  assert.equal(await first(four, "2059-08-01 04:00Z"), "day_full");
});

test("coupon_not_found", async () => {
  assert.deepEqual(await rows(move(999_999, "2059-01-01Z")), [["coupon_not_found", null, null, null, null]]);
});

test("a late retry of create_coupon is already_created", async () => {
  const create = () =>
    value(admin`select outcome from create_coupon('RETRY', 'm', 'd', '2063-01-01Z', '2064-01-01Z', 3)`);
  assert.equal(await create(), "created");
  const id = (await value(admin`select coupon_id::integer from find_coupon(code => 'RETRY')`)) as number;
  assert.equal(await value(move(id, "2063-02-01Z")), "changed");
  assert.equal(await create(), "already_created");
});

test("refuses bad arguments", async () => {
  await refusesArgument(move(null, "2059-01-01Z"), "coupon_id", "22004");
  await refusesArgument(move(1, null), "start_time", "22004");
  for (const start of ["1969-12-31 23:59:59Z", "9999-12-31 00:00Z", "infinity", "-infinity"])
    await refusesArgument(move(1, start), "start_time", "22023");
});

test("all of this left the data whole", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, coupon, issue } = await testDatabase();
const setCount = (coupon_id: number, count: number) =>
  rows(admin`select * from set_coupon_count(${coupon_id}, ${count})`);

/** A coupon of 3 units, 2 of them issued, and another of 7 units on the same day. */
async function lunchAndDinner() {
  const lunch = await coupon({ count: 3 });
  for (const _ of [1, 2]) assert.equal(await issue(await user(), lunch), "issued");
  const dinner = await value(admin`
    select o.coupon_id::integer
    from find_coupon(${lunch}) c
    cross join lateral create_coupon('D' || c.coupon_id, 'm', 'd', c.start_time + interval '1 second', c.expiry, 7) o`);
  return { lunch, dinner: dinner as number };
}

test("changed: a restock is issued, and then it is sold out again", async () => {
  const lunch = await coupon({ count: 1 });
  await issue(await user(), lunch);
  assert.equal(await issue(await user(), lunch), "sold_out");
  assert.deepEqual(await setCount(lunch, 2), [["changed", 1, 1]]);
  const next = admin`select outcome, position from issue_coupon(${await user()}, ${lunch})`;
  assert.deepEqual(await rows(next), [["issued", 2]]);
  assert.equal(await issue(await user(), lunch), "sold_out");
});

test("changed: down to what is issued", async () => {
  const { lunch } = await lunchAndDinner();
  assert.deepEqual(await setCount(lunch, 2), [["changed", 2, 0]]);
  assert.equal(await issue(await user(), lunch), "sold_out");
});

test("changed: up to the largest count", async () => {
  assert.deepEqual(await setCount(await coupon(), 100_000_000), [["changed", 0, 100_000_000]]);
});

test("unchanged", async () => {
  const { lunch } = await lunchAndDinner();
  assert.deepEqual(await setCount(lunch, 3), [["unchanged", 2, 1]]);
});

test("below_issued: nothing changes", async () => {
  const { lunch } = await lunchAndDinner();
  assert.deepEqual(await setCount(lunch, 1), [["below_issued", 2, 1]]);
  assert.equal(await value(owner`select count from coupon.coupons where id = ${lunch}`), 3);
});

test("count_taken: by another coupon of that day", async () => {
  const { lunch } = await lunchAndDinner();
  assert.deepEqual(await setCount(lunch, 7), [["count_taken", 2, 1]]);
});

test("changed: to the count of another day's coupon", async () => {
  const [lunch] = [await coupon({ count: 5 }), await coupon({ count: 6 })];
  assert.deepEqual(await setCount(lunch, 6), [["changed", 0, 6]]);
});

test("coupon_not_found", async () => {
  assert.deepEqual(await setCount(999_999, 1), [["coupon_not_found", null, null]]);
});

test("below_issued before count_taken", async () => {
  const { lunch, dinner } = await lunchAndDinner();
  await setCount(dinner, 1);
  assert.deepEqual(await setCount(lunch, 1), [["below_issued", 2, 1]]);
});

test("unchanged before count_taken: its own count is not another's", async () => {
  const { dinner } = await lunchAndDinner();
  assert.deepEqual(await setCount(dinner, 7), [["unchanged", 0, 7]]);
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from set_coupon_count(null, 1)`, "coupon_id", "22004");
  await refusesArgument(admin`select from set_coupon_count(1, null)`, "count", "22004");
  await refusesArgument(admin`select from set_coupon_count(1, 0)`, "count", "22023");
  await refusesArgument(admin`select from set_coupon_count(1, 100000001)`, "count", "22023");
});

test("all of this left the data whole", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});

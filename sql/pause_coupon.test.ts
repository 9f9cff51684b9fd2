import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, testDatabase, value } from "../bench/harness/rows.ts";

const { admin, user, coupon, upcoming, issue, expire } = await testDatabase();
const pause = (coupon_id: number) => value(admin`select outcome from pause_coupon(${coupon_id})`);

test("paused: nothing is issued any more", async () => {
  const lunch = await coupon();
  assert.equal(await pause(lunch), "paused");
  assert.equal(await issue(await user(), lunch), "paused");
});

test("paused: in any state of the coupon", async () => {
  const [soldOut, ended] = [await coupon({ count: 1 }), await coupon()];
  await issue(await user(), soldOut);
  await expire(ended);
  for (const lunch of [soldOut, ended, await upcoming(1)]) assert.equal(await pause(lunch), "paused");
});

test("already_paused", async () => {
  const lunch = await coupon();
  await pause(lunch);
  assert.equal(await pause(lunch), "already_paused");
});

test("coupon_not_found", async () => {
  assert.equal(await pause(999_999), "coupon_not_found");
  assert.equal(await value(admin`select outcome from pause_coupon(9223372036854775807)`), "coupon_not_found");
});

test("touches no other coupon", async () => {
  const [lunch, dinner] = [await coupon(), await coupon()];
  await pause(lunch);
  assert.equal(await issue(await user(), dinner), "issued");
});

test("refuses a null", () => refusesArgument(admin`select from pause_coupon(null)`, "coupon_id", "22004"));

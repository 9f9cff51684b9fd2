import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { admin, user, coupon, issue } = await testDatabase();
const resume = (coupon_id: number) => value(admin`select outcome from resume_coupon(${coupon_id})`);

test("resumed: issuing goes on at the next position", async () => {
  const lunch = await coupon();
  await issue(await user(), lunch);
  await admin`select from pause_coupon(${lunch})`;
  assert.equal(await resume(lunch), "resumed");
  const next = admin`select outcome, position from issue_coupon(${await user()}, ${lunch})`;
  assert.deepEqual(await rows(next), [["issued", 2]]);
});

test("not_paused: never, or not any more", async () => {
  const lunch = await coupon();
  assert.equal(await resume(lunch), "not_paused");
  await admin`select from pause_coupon(${lunch})`;
  await resume(lunch);
  assert.equal(await resume(lunch), "not_paused");
});

test("coupon_not_found", async () => {
  assert.equal(await resume(999_999), "coupon_not_found");
});

test("refuses a null", () => refusesArgument(admin`select from resume_coupon(null)`, "coupon_id", "22004"));

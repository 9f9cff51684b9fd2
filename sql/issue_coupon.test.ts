import assert from "node:assert/strict";
import { test } from "node:test";
import { scratchDatabase } from "../db/scratch.ts";

test("issue_coupon: issued", async (t) => {
  const database = await scratchDatabase();
  t.after(() => database.drop());
  const { admin } = database;
  await admin`select * from import_users(array[1, 2], array['Ann', 'Ben'])`;
  const [coupon] = await admin`
    select * from create_coupon('A', 'm', 'd', clock_timestamp(), clock_timestamp() + interval '1 day', 1)`;
  const [first] = await admin`select * from issue_coupon(1, ${coupon?.["coupon_id"]})`;
  assert.equal(first?.["outcome"], "issued");
  const [second] = await admin`select * from issue_coupon(2, ${coupon?.["coupon_id"]})`;
  assert.equal(second?.["outcome"], "sold_out");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { admin, user, coupon, upcoming, issue, expire } = await testDatabase();

test("by coupon_id, by code, by code in another case: the same row", async () => {
  const lunch = await coupon({ count: 3 });
  await issue(await user(), lunch);
  const code = String(await value(admin`select code from find_coupon(${lunch})`));
  const members = admin`coupon_id::integer, code, message, description, count, issued, remaining, sold_out, paused,
    sold_out_at, time_to_sell_out, starts_in, metadata`;
  const row = [lunch, code, "message", "", 3, 1, 2, false, false, null, null, null, {}];
  assert.deepEqual(await rows(admin`select ${members} from find_coupon(${lunch})`), [row]);
  for (const spelling of [code, code.toLowerCase(), code.toUpperCase()])
    assert.deepEqual(await rows(admin`select ${members} from find_coupon(code => ${spelling})`), [row]);
});

test("in every state", async () => {
  const [ended, soldOut] = [await coupon(), await coupon({ count: 1 })];
  await expire(ended);
  await issue(await user(), soldOut);
  for (const lunch of [ended, soldOut, await upcoming(1)])
    assert.equal(await value(admin`select coupon_id::integer from find_coupon(${lunch})`), lunch);
});

test("starts_in while it is upcoming", async () => {
  const found = admin`select starts_in = start_time - server_time from find_coupon(${await upcoming(2)})`;
  assert.deepEqual(await rows(found), [[true]]);
});

test("none: no row", async () => {
  assert.deepEqual(await rows(admin`select * from find_coupon(999999)`), []);
  assert.deepEqual(await rows(admin`select * from find_coupon(code => 'nothing')`), []);
  assert.deepEqual(await rows(admin`select * from find_coupon(code => '')`), []);
});

test("refuses neither and both", async () => {
  await refusesArgument(admin`select from find_coupon()`, "coupon_id", "22023");
  await refusesArgument(admin`select from find_coupon(1, 'A')`, "coupon_id", "22023");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, coupon, upcoming, issue, expire } = await testDatabase();

test("nothing is live: no row", async () => {
  assert.deepEqual(await rows(admin`select * from live_coupons()`), []);
});

test("what has started and not expired, the last to start first, sold out and paused ones too", async () => {
  const paused = await coupon({ from: "-1 day" });
  const soldOut = await coupon({ from: "-3 days", count: 1 });
  const lunch = await coupon({ from: "-2 days", count: 10 });
  const ended = await coupon({ from: "-4 days" });
  await upcoming(1);
  await admin`select from pause_coupon(${paused})`;
  await issue(await user(), soldOut);
  await issue(await user(), lunch);
  await expire(ended);
  assert.deepEqual(
    await rows(admin`
      select coupon_id::integer, count, issued, remaining, sold_out, paused, starts_in from live_coupons()`),
    [
      [paused, 10, 0, 10, false, true, null],
      [lunch, 10, 1, 9, false, false, null],
      [soldOut, 1, 1, 0, true, false, null],
    ],
  );
});

test("every member is the coupon's, server_time is the database clock", async () => {
  assert.deepEqual(
    await rows(admin`
      select o.server_time between statement_timestamp() and clock_timestamp()
      from live_coupons() o
      join coupon.coupons c
        on (c.id, c.code, c.message, c.description, c.start_time, c.expiry, c.metadata)
          = (o.coupon_id, o.code, o.message, o.description, o.start_time, o.expiry, o.metadata)`),
    [[true], [true], [true]],
  );
});

test("page by page: each once, also when the last of a page has ended meanwhile", async () => {
  const page = async (before: string | null, size: number) =>
    (
      await rows(admin`select coupon_id::integer from live_coupons(${before}::text::timestamptz, ${size})`)
    ).flat() as number[];
  const all = await page(null, 1000);
  assert.equal(all.length, 3);
  const [, second = 0] = all;
  const start = String(await value(owner`select start_time::text from coupon.coupons where id = ${second}`));
  assert.deepEqual(await page(null, 2), all.slice(0, 2));
  await expire(second);
  assert.deepEqual(await page(start, 2), all.slice(2));
  await owner`delete from coupon.coupons where id = ${second} and issued = 0`;
  assert.deepEqual(await page(start, 2), all.slice(2));
});

test("refuses bad arguments", async () => {
  for (const size of [null, 0, 1001])
    await refusesArgument(admin`select from live_coupons(null, ${size}::integer)`, "page_size", "22023");
});

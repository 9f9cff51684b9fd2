import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, coupon, upcoming } = await testDatabase();

test("nothing is coming: no row", async () => {
  await coupon();
  assert.deepEqual(await rows(admin`select * from upcoming_coupons()`), []);
});

test("what has not started, the next one first; starts_in counts down", async () => {
  const [second, third, first] = [await upcoming(2), await upcoming(3), await upcoming(1)];
  await admin`select from pause_coupon(${second})`;
  assert.deepEqual(
    await rows(admin`
      select coupon_id::integer, paused, remaining, sold_out, starts_in = start_time - server_time,
        server_time between statement_timestamp() and clock_timestamp(),
        round(extract(epoch from starts_in) / 86400)::integer
      from upcoming_coupons()`),
    [
      [first, false, 10, false, true, true, 1],
      [second, true, 10, false, true, true, 2],
      [third, false, 10, false, true, true, 3],
    ],
  );
});

test("page by page: each once, also when the last of a page is gone meanwhile", async () => {
  const page = async (after: string | null, size: number) =>
    (
      await rows(admin`select coupon_id::integer from upcoming_coupons(${after}::text::timestamptz, ${size})`)
    ).flat() as number[];
  const startOf = async (id: number) =>
    String(await value(owner`select start_time::text from coupon.coupons where id = ${id}`));
  const all = await page(null, 1000);
  assert.equal(all.length, 3);
  const [first, second] = all as [number, number];
  assert.deepEqual(await page(null, 2), all.slice(0, 2));
  assert.deepEqual(await page(await startOf(second), 2), all.slice(2));
  assert.deepEqual(await page(await startOf(first), 1), [second]);
  const start = await startOf(second);
  await owner`delete from coupon.coupons where id = ${second}`;
  assert.deepEqual(await page(start, 2), all.slice(2));
});

test("refuses bad arguments", async () => {
  for (const size of [null, 0, 1001])
    await refusesArgument(admin`select from upcoming_coupons(null, ${size}::integer)`, "page_size", "22023");
});

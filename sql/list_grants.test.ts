import assert from "node:assert/strict";
import { test } from "node:test";
import { assertReads, reads } from "../bench/harness/reads.ts";
import { refusesArgument, rows, testDatabase } from "../bench/harness/rows.ts";

const { owner, admin, crowd, user, coupon, issue, use, planted } = await testDatabase();

const page = (coupon_id: number, after: number, page_size: number) =>
  rows(admin`
    select "position", user_id::integer
    from list_grants(${coupon_id}, after => ${after}, page_size => ${page_size})`);

test("in order of issue, a page at a time: each grant of the coupon once, and no other's", async () => {
  const [before, lunch, behind] = [await coupon(), await coupon(), await coupon()];
  const [ann, ben, cid, dan, eve] = (await crowd(5)).toReversed() as [number, number, number, number, number];
  for (const holder of [ann, ben, cid, dan, eve]) await issue(holder, lunch);
  for (const other of [before, behind]) for (const holder of await crowd(2)) await issue(holder, other);
  assert.deepEqual(await page(lunch, 0, 2), [
    [1, ann],
    [2, ben],
  ]);
  assert.deepEqual(await page(lunch, 2, 2), [
    [3, cid],
    [4, dan],
  ]);
  assert.deepEqual(await page(lunch, 4, 2), [[5, eve]]);
  assert.deepEqual(await page(lunch, 5, 2), []);
  assert.deepEqual(await page(lunch, 100_000_000, 10_000), []);
});

test("every member is the grant's", async () => {
  const [holder, fresh, lunch] = [await user(), await user(), await coupon()];
  await issue(holder, lunch);
  await issue(fresh, lunch);
  await use(holder, lunch, "order 1");
  assert.deepEqual(
    await rows(admin`
      select l.position, l.use_reference, l.used_date = g.used_date
      from list_grants(${lunch}) l
      join coupon.user_coupons g
        on (g.coupon_id, g.position, g.user_id, g.issued_on, g.issued_at)
          = (${lunch}, l.position, l.user_id, l.issued_on, l.issued_at)`),
    [
      [1, "order 1", true],
      [2, null, null],
    ],
  );
});

test("no row: no such coupon, or nothing issued", async () => {
  for (const none of ["-1", "0", "999999", "9223372036854775807", String(await coupon())])
    assert.deepEqual(await rows(admin.unsafe(`select from list_grants(${none})`)), []);
});

test("1000 a page unless told otherwise; by the key of the position, and no more rows than the page's", async () => {
  const lunch = await coupon({ count: 20_000 });
  for (let batch = 0; batch < 2; batch++) await planted(lunch, [10_000, "1 minute"]);
  const indexes = ["user_coupons_one_per_position", "user_coupons_pkey", "user_coupons_one_per_user_and_day"];
  const call = (args: string) =>
    reads(owner, indexes, (sql) => sql.unsafe(`select user_id from list_grants(${lunch}${args})`));
  for (const knows of ["nothing", "everything"]) {
    if (knows === "everything") await owner`analyze coupon.user_coupons`;
    assertReads(await call(""), 1_000, [1_000, 0, 0], knows);
    assertReads(await call(", 5000, 10000"), 10_000, [10_000, 0, 0], knows);
    assertReads(await call(", 19998, 3"), 2, [2, 0, 0], knows);
  }
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from list_grants(null)`, "coupon_id", "22004");
  await refusesArgument(admin`select from list_grants(1, null)`, "after", "22004");
  for (const after of [-1, 100_000_001])
    await refusesArgument(admin`select from list_grants(1, ${after}::integer)`, "after", "22023");
  for (const size of [null, 0, 10_001])
    await refusesArgument(admin`select from list_grants(1, 0, ${size}::integer)`, "page_size", "22023");
});

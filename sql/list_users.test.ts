import assert from "node:assert/strict";
import { test } from "node:test";
import { assertReads, reads } from "../bench/harness/reads.ts";
import { refusesArgument, rows, testDatabase } from "../bench/harness/rows.ts";

const { owner, admin } = await testDatabase();

test("nobody: no row", async () => {
  assert.deepEqual(await rows(admin`select * from list_users()`), []);
});

test("by id, a page at a time: each user once", async () => {
  await admin`select from import_users('{30, 7, 9007199254740991, 8, 1}', '{Dan, Ben, Eve, Cid, Ann}')`;
  const page = (after: number, page_size: number) =>
    rows(admin`
      select user_id::text, display_name from list_users(after => ${after}, page_size => ${page_size})`);
  assert.deepEqual(await page(0, 2), [
    ["1", "Ann"],
    ["7", "Ben"],
  ]);
  assert.deepEqual(await page(7, 2), [
    ["8", "Cid"],
    ["30", "Dan"],
  ]);
  assert.deepEqual(await page(30, 2), [["9007199254740991", "Eve"]]);
  assert.deepEqual(await page(Number.MAX_SAFE_INTEGER, 2), []);
  assert.deepEqual(await rows(admin`select user_id::text from list_users() limit 1`), [["1"]]);
});

test("1000 a page unless told otherwise; by the key, and no more rows than the page's", async () => {
  const [first, last] = [1_001, 20_000];
  await admin`
    select from import_users(array(select generate_series(${first}::bigint, ${last})), array_fill('Ann'::text, ${[last - first + 1]}::integer[]))`;
  const call = (args: string) =>
    reads(owner, ["users_pkey"], (sql) => sql.unsafe(`select user_id from list_users(${args})`));
  for (const knows of ["nothing", "everything"]) {
    if (knows === "everything") await owner`analyze coupon.users`;
    assertReads(await call("5000"), 1_000, [1_000], knows);
    assertReads(await call("5000, 10000"), 10_000, [10_000], knows);
  }
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from list_users(null)`, "after", "22004");
  for (const size of [null, 0, 10_001])
    await refusesArgument(admin`select from list_users(0, ${size}::integer)`, "page_size", "22023");
});

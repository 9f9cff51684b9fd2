import assert from "node:assert/strict";
import { test } from "node:test";
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
  /** Rows that come, scans of the table, rows read by the key. */
  const reads = (args: string) =>
    owner.begin(async (sql) => {
      const now = async () =>
        (
          await rows(sql`
            select pg_stat_get_xact_numscans('coupon.users'::regclass)::integer,
              pg_stat_get_xact_tuples_returned('coupon.users_pkey'::regclass)::integer`)
        ).flat() as number[];
      const before = await now();
      const found = await rows(sql.unsafe(`select user_id from list_users(${args})`));
      const after = await now();
      return [found.length, ...after.map((count, i) => count - (before[i] ?? 0))];
    });
  for (const knows of ["nothing", "everything"]) {
    if (knows === "everything") await owner`analyze coupon.users`;
    assert.deepEqual(await reads("5000"), [1_000, 0, 1_000], knows);
    assert.deepEqual(await reads("5000, 10000"), [10_000, 0, 10_000], knows);
  }
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from list_users(null)`, "after", "22004");
  for (const size of [null, 0, 10_001])
    await refusesArgument(admin`select from list_users(0, ${size}::integer)`, "page_size", "22023");
});

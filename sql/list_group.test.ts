import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase } from "../bench/harness/rows.ts";

const { admin } = await testDatabase();

test("by id, a page at a time: each member once, and nobody else", async () => {
  await admin`select from import_users('{30, 7, 9007199254740991, 8, 1}', '{Dan, Ben, Eve, Cid, Ann}')`;
  await admin`select from add_to_group('vip', '{30, 9007199254740991, 1, 8}')`;
  await admin`select from add_to_group('other', '{7}')`;
  const page = (after: number, page_size: number, group = "vip") =>
    rows(admin`
      select user_id::text, display_name from list_group(${group}, after => ${after}, page_size => ${page_size})`);
  assert.deepEqual(await page(0, 2), [
    ["1", "Ann"],
    ["8", "Cid"],
  ]);
  assert.deepEqual(await page(8, 2), [
    ["30", "Dan"],
    ["9007199254740991", "Eve"],
  ]);
  assert.deepEqual(await page(Number.MAX_SAFE_INTEGER, 2), []);
  assert.deepEqual(await page(0, 2, "other"), [["7", "Ben"]]);
  assert.deepEqual(await page(0, 2, "VIP"), []);
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from list_group(null)`, "group_name", "22004");
  await refusesArgument(admin`select from list_group('v i p')`, "group_name", "22023");
  await refusesArgument(admin`select from list_group('vip', null)`, "after", "22004");
  for (const size of [null, 0, 10_001])
    await refusesArgument(admin`select from list_group('vip', 0, ${size}::integer)`, "page_size", "22023");
});

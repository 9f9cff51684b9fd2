import assert from "node:assert/strict";
import { test } from "node:test";
import { assertReads, reads } from "../bench/harness/reads.ts";
import { refusesArgument, rows, testDatabase } from "../bench/harness/rows.ts";

const { owner, admin, upcoming } = await testDatabase();

const page = (after: string | null, page_size = 100) =>
  rows(admin`
    select group_name, member_count::integer, coupon_count::integer from list_groups(${after}, ${page_size}::integer)`);

test("none: no row", async () => {
  assert.deepEqual(await rows(admin`select * from list_groups()`), []);
});

test("by name, a page at a time: each once, with members, and those that only coupons name", async () => {
  await admin`select from import_users('{1, 2, 3}', '{Ann, Ben, Cid}')`;
  await admin`select from add_to_group('vip', '{1, 2, 3}')`;
  await admin`select from add_to_group('VIP', '{2}')`;
  await admin`select from add_to_group('team-1', '{3}')`;
  await admin`select from add_to_group('gone', '{3}')`;
  await admin`select from remove_from_group('gone', '{3}')`;
  for (const [name, days] of [
    ["vip", 10],
    ["vip", 20],
    ["vpi", 30],
    ["a_", 40],
  ] as const)
    await admin`
      select from set_coupon_group(${await upcoming(days)}, ${name}, now() + interval '1 hour')`;
  const all = [
    ["VIP", 1, 0],
    ["a_", 0, 1],
    ["team-1", 1, 0],
    ["vip", 3, 2],
    ["vpi", 0, 1],
  ];
  assert.deepEqual(await page(null), all);
  for (const size of [1, 2, 3, 5]) {
    const pages: unknown[][] = [];
    for (let after: string | null = null; ; after = String(pages.at(-1)?.[0])) {
      const next = await page(after, size);
      if (next.length === 0) break;
      assert.equal(next.length, Math.min(size, all.length - pages.length));
      pages.push(...next);
    }
    assert.deepEqual(pages, all, `${size} a page`);
  }
  // Whatever the text: it is a place in the order of bytes.
  assert.deepEqual(await page("é"), []);
  assert.deepEqual(await page(""), all);
  assert.deepEqual(await page("b c"), all.slice(2));
});

test("names are found by the key, and members of other groups are not read", async () => {
  await admin`
    select from import_users(array(select generate_series(1001, 21000)), array_fill('Ann'::text, '{20000}'))`;
  await admin`select from add_to_group('big', array(select generate_series(1001::bigint, 21000)))`;
  const call = (after: string, size: number) =>
    reads(
      owner,
      ["group_members_pkey"],
      (sql) => sql`select group_name from list_groups(${after}, ${size}::integer)`,
    );
  for (const knows of ["nothing", "everything"]) {
    if (knows === "everything") await owner`analyze coupon.group_members`;
    const all = await call("a_", 2);
    assert.deepEqual(all.found, [["big"], ["team-1"]], knows);
    assertReads(all, 2, [20_001], knows);
    const others = await call("big", 100);
    assert.deepEqual(others.found, [["team-1"], ["vip"], ["vpi"]], knows);
    assertReads(others, 3, [6], knows);
  }
});

test("refuses bad arguments", async () => {
  for (const size of [null, 0, 1_001])
    await refusesArgument(admin`select from list_groups(null, ${size}::integer)`, "page_size", "22023");
});

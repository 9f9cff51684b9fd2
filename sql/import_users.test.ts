import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin } = await testDatabase();

const importUsers = (users: [number, string][]) =>
  rows(admin`
    select outcome, user_id::text
    from import_users(${users.map(([id]) => id)}::bigint[], ${users.map(([, name]) => name)}::text[])`);

test("created, updated, unchanged: a row each, in the order given", async () => {
  assert.deepEqual(
    await importUsers([
      [3, "Cid"],
      [1, "Ann"],
    ]),
    [
      ["created", "3"],
      ["created", "1"],
    ],
  );
  assert.deepEqual(
    await importUsers([
      [3, "Cid"],
      [2, "Ben"],
      [1, "Anna"],
    ]),
    [
      ["unchanged", "3"],
      ["created", "2"],
      ["updated", "1"],
    ],
  );
  assert.deepEqual(await rows(owner`select id::integer, display_name from coupon.users order by id`), [
    [1, "Anna"],
    [2, "Ben"],
    [3, "Cid"],
  ]);
});

test("updated: twice in one transaction", async () => {
  await admin.begin(async (sql) => {
    const outcome = (name: string) =>
      value(sql`select outcome from import_users(array[50]::bigint[], array[${name}])`);
    assert.equal(await outcome("A"), "created");
    assert.equal(await outcome("B"), "updated");
    assert.equal(await outcome("B"), "unchanged");
    assert.equal(await outcome("C"), "updated");
  });
});

test("updated: in nothing but its case", async () => {
  await importUsers([[60, "ann"]]);
  assert.deepEqual(await importUsers([[60, "Ann"]]), [["updated", "60"]]);
});

test("unchanged: writes nothing", async () => {
  await importUsers([[70, "Ann"]]);
  const version = () => value(owner`select xmin::text from coupon.users where id = 70`);
  const before = await version();
  assert.deepEqual(await importUsers([[70, "Ann"]]), [["unchanged", "70"]]);
  assert.equal(await version(), before);
});

test("created: the largest id and the longest name", async () => {
  assert.deepEqual(await importUsers([[Number.MAX_SAFE_INTEGER, "é".repeat(200)]]), [
    ["created", "9007199254740991"],
  ]);
});

test("no user, no row", async () => {
  assert.deepEqual(await rows(admin`select * from import_users('{}', '{}')`), []);
});

test("all or nothing", async () => {
  await assert.rejects(
    importUsers([
      [80, "Ann"],
      [0, "Ben"],
    ]),
    { code: "22023" },
  );
  assert.equal(await value(owner`select count(*)::integer from coupon.users where id = 80`), 0);
});

const bad: [string, string, string, "22004" | "22023"][] = [
  ["null", "'{a}'", "user_ids", "22004"],
  ["'{1}'", "null", "display_names", "22004"],
  ["'{{1},{2}}'", "'{a,b}'", "user_ids", "22023"],
  ["'{1,2}'", "'{{a},{b}}'", "display_names", "22023"],
  ["'{1,null}'", "'{a,b}'", "user_ids", "22023"],
  ["'{0}'", "'{a}'", "user_ids", "22023"],
  ["'{9007199254740992}'", "'{a}'", "user_ids", "22023"],
  ["'{1,2,1}'", "'{a,b,c}'", "user_ids", "22023"],
  ["'{1,1}'", "'{a,a}'", "user_ids", "22023"],
  ["'{1,2}'", "'{a}'", "display_names", "22023"],
  ["'{1}'", "'{a,b}'", "display_names", "22023"],
  ["'{}'", "'{a}'", "display_names", "22023"],
  ["'{1,2}'", "'{a,null}'", "display_names", "22023"],
  ["'{1}'", `'{""}'`, "display_names", "22023"],
  ["'{1}'", "array[repeat('a', 201)]", "display_names", "22023"],
  [
    "array(select generate_series(1, 100001)::bigint)",
    "array_fill('a'::text, '{100001}')",
    "user_ids",
    "22023",
  ],
];
for (const [ids, names, argument, code] of bad) {
  test(`refuses ${ids}, ${names}`, () =>
    refusesArgument(admin.unsafe(`select from import_users(${ids}, ${names})`), argument, code));
}

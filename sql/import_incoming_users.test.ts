import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { after, test } from "node:test";
import type { ReservedSql } from "postgres";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { connect } from "../db/connect.ts";

const { owner, admin, adminUrl } = await testDatabase();
const session = await admin.reserve();
after(() => session.release());

type Line = [outcome: string, line: number, user_id: string | null, detail: string | null];

/** As psql's \copy does it. */
async function copy(sql: ReservedSql, csv: string): Promise<void> {
  const into = await sql`copy coupon.incoming_users (user_id, display_name) from stdin csv`.writable();
  await pipeline(Readable.from([csv]), into);
}

const importThem = (sql: ReservedSql) =>
  rows(sql`select outcome, line::integer, user_id::text, detail from import_incoming_users()`);

async function imported(csv: string): Promise<unknown[][]> {
  await copy(session, csv);
  return importThem(session);
}

const created = (line: number, user_id: number): Line => ["created", line, `${user_id}`, null];
const updated = (line: number, user_id: number): Line => ["updated", line, `${user_id}`, null];
const unchanged = (line: number, user_id: number): Line => ["unchanged", line, `${user_id}`, null];
const invalid = (line: number, user_id: number | null, detail: string): Line => [
  "invalid",
  line,
  user_id === null ? null : `${user_id}`,
  detail,
];

const NO_ID = "user_id: must be a whole number from 1 to 9007199254740991";
const NO_NAME = "display_name: must not be empty";
const LONG_NAME = "display_name: must have at most 200 characters";

const staged = () => value(owner`select count(*)::integer from coupon.incoming_users`);
const nameOf = (id: number) => value(owner`select display_name from coupon.users where id = ${id}`);

test("created, updated, unchanged: a row each, in the file's order; nothing stays", async () => {
  assert.deepEqual(await imported("13,Cid\n11,Ann\n"), [created(1, 13), created(2, 11)]);
  assert.deepEqual(await imported("13,Cid\n12,Ben\n11,Anna\n"), [
    unchanged(1, 13),
    created(2, 12),
    updated(3, 11),
  ]);
  assert.deepEqual(await rows(owner`select id::integer, display_name from coupon.users order by id`), [
    [11, "Anna"],
    [12, "Ben"],
    [13, "Cid"],
  ]);
  assert.deepEqual([await staged(), await importThem(session)], [0, []]);
});

test("invalid: the others are imported", async () => {
  const long = "é".repeat(200);
  assert.deepEqual(
    await imported(
      `20,Ann\n,Ann\n"",Ann\nx,Ann\n21\\,Ann\n0,Ann\n-1,Ann\n+1,Ann\n1.0,Ann\n1e3,Ann\n021,Ann\n 21,Ann\n` +
        `9007199254740992,Ann\n99999999999999999999999,Ann\n22,\n23,""\n24,${long}\n25,${long}é\n9007199254740991,Ann\n`,
    ),
    [
      created(1, 20),
      ...Array.from({ length: 13 }, (_, i) => invalid(i + 2, null, NO_ID)),
      ...[invalid(15, 22, NO_NAME), invalid(16, 23, NO_NAME), created(17, 24), invalid(18, 25, LONG_NAME)],
      created(19, Number.MAX_SAFE_INTEGER),
    ],
  );
});

test("invalid: the id before the name", async () => {
  assert.deepEqual(await imported(`x,\n0,${"a".repeat(201)}\n`), [
    invalid(1, null, NO_ID),
    invalid(2, null, NO_ID),
  ]);
});

test("invalid: an id that comes twice counts where it is first right", async () => {
  const repeats = (line: number, user_id: number, first: number) =>
    invalid(line, user_id, `user_id: repeats line ${first}`);
  assert.deepEqual(await imported("30,\n31,Ann\n30,Ben\n31,Anna\n30,\n31,Ann\n30,Ben\n"), [
    invalid(1, 30, NO_NAME),
    created(2, 31),
    created(3, 30),
    repeats(4, 31, 2),
    invalid(5, 30, NO_NAME),
    repeats(6, 31, 2),
    repeats(7, 30, 3),
  ]);
  assert.deepEqual([await nameOf(30), await nameOf(31)], ["Ben", "Ann"]);
});

test("unchanged: the same file again writes nothing, and nothing to the audit", async () => {
  const file = "40,Ann\n41,Ben\n";
  await imported(file);
  const state = () =>
    rows(owner`
      select (select count(*)::integer from coupon.audit), array_agg(xmin::text order by id)
      from coupon.users where id in (40, 41)`);
  const before = await state();
  assert.deepEqual(await imported(file), [unchanged(1, 40), unchanged(2, 41)]);
  assert.deepEqual(await state(), before);
});

test("a row in the audit: how many were created and updated, why, on whose behalf", async () => {
  await imported("50,Ann\n");
  await copy(session, "50,Anna\n51,Ben\n52,Cid\n53,\n");
  await session`select from import_incoming_users(reason => 'the list of May', actor => 'admin:root')`;
  const last = owner`
    select command, login, new_values, reason, actor from coupon.audit order by id desc limit 1`;
  assert.deepEqual(await rows(last), [
    ["import_users", "coupon_admin", { created: 2, updated: 1 }, "the list of May", "admin:root"],
  ]);
});

test("a session takes what it has copied itself, in several goes, lines counted from 1", async () => {
  const other = await admin.reserve();
  await copy(session, "60,Ann\n");
  await copy(other, "61,Ben\n62,Cid\n");
  await copy(session, "63,Dan\n");
  assert.deepEqual(await importThem(session), [created(1, 60), created(2, 63)]);
  assert.deepEqual(await importThem(other), [created(1, 61), created(2, 62)]);
  other.release();
});

test("rows of a session that has ended are removed, not imported", async () => {
  const other = connect(adminUrl);
  await other`insert into coupon.incoming_users (user_id, display_name) values ('70', 'Ann'), ('71', 'Ben')`;
  assert.deepEqual([await importThem(session), await staged()], [[], 2]);
  await other.end();
  while (
    (await value(owner`
    select count(*)::integer from coupon.incoming_users i join pg_stat_activity s on s.pid = i.session_pid`)) !==
    0
  );
  assert.deepEqual([await importThem(session), await staged()], [[], 0]);
  assert.equal(await nameOf(70), undefined);
});

test("a session that began after this transaction had looked who is there keeps its rows", async () => {
  const other = connect(adminUrl);
  await session`begin`;
  await session`select from pg_stat_activity`;
  await other`insert into coupon.incoming_users (user_id, display_name) values ('80', 'Ann')`;
  await importThem(session);
  await session`commit`;
  assert.deepEqual(await rows(other`select outcome, line::integer from import_incoming_users()`), [
    ["created", 1],
  ]);
  await other.end();
});

test("taken back with its transaction, and done again", async () => {
  await copy(session, "90,Ann\n");
  await session`begin`;
  assert.deepEqual(await importThem(session), [created(1, 90)]);
  await session`rollback`;
  assert.deepEqual([await staged(), await nameOf(90)], [1, undefined]);
  assert.deepEqual(await importThem(session), [created(1, 90)]);
});

test("two at once, the same users from either end: each is created once", async () => {
  const other = await admin.reserve();
  const ids = Array.from({ length: 5_000 }, (_, i) => 100_000 + i);
  const file = (of: number[]) => of.map((id) => `${id},Ann\n`).join("");
  for (const name of ["Ann", "Ben"]) {
    const named = (of: number[]) => file(of).replaceAll("Ann", name);
    await Promise.all([copy(session, named(ids)), copy(other, named(ids.toReversed()))]);
    const both = await Promise.all([importThem(session), importThem(other)]);
    const count = (outcome: string) => both.flat().filter((line) => line[0] === outcome).length;
    assert.deepEqual(
      [count("created"), count("updated"), count("unchanged")],
      name === "Ann" ? [5_000, 0, 5_000] : [0, 5_000, 5_000],
    );
  }
  other.release();
});

test("many, by a plan that was made for few", async () => {
  await owner`vacuum analyze coupon.incoming_users`;
  const other = connect(adminUrl);
  const fresh = await other.reserve();
  await fresh`set plan_cache_mode = force_generic_plan`;
  await fresh`set statement_timeout = '20s'`;
  await copy(fresh, "200000,Ann\n");
  assert.deepEqual(await importThem(fresh), [created(1, 200_000)]);
  await copy(fresh, Array.from({ length: 30_000 }, (_, i) => `${200_000 + i},Ann\n`).join(""));
  const lines = await importThem(fresh);
  assert.deepEqual(
    [lines[0], lines[29_999], lines.length],
    [unchanged(1, 200_000), created(30_000, 229_999), 30_000],
  );
  fresh.release();
  await other.end();
});

test("coupon_admin puts in users, and says neither line nor session", async () => {
  for (const column of ["line", "session_pid"])
    await assert.rejects(
      admin.unsafe(`insert into coupon.incoming_users (${column}) overriding system value values (1)`),
      { code: "42501" },
    );
  await assert.rejects(admin`delete from coupon.incoming_users`, { code: "42501" });
});

for (const [argument, text] of [
  ["reason", ""],
  ["reason", "a".repeat(501)],
  ["actor", ""],
  ["actor", "a".repeat(251)],
] as const)
  test(`refuses ${argument} of ${text.length} characters, and what was copied stays`, async () => {
    await copy(session, "x,\n");
    await refusesArgument(
      session.unsafe(`select from import_incoming_users(${argument} => '${text}')`),
      argument,
      "22023",
    );
    assert.deepEqual(await importThem(session), [invalid(1, null, NO_ID)]);
  });

const hasPsql = spawnSync("psql", ["--version"]).status === 0;
test("in psql: a file, and what is exported to one", { skip: hasPsql ? false : "needs psql" }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "coupon-bulk-"));
  after(() => rmSync(directory, { recursive: true }));
  const [given, exported] = [join(directory, "users.csv"), join(directory, "exported.csv")];
  const psql = (...commands: string[]) =>
    execFileSync("psql", ["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", adminUrl], {
      input: commands.join("\n"),
      encoding: "utf8",
    });
  const take = (file: string) => [
    `\\copy coupon.incoming_users (user_id, display_name) from '${file}' csv header`,
    "select * from import_incoming_users(reason => 'tried');",
  ];
  writeFileSync(
    given,
    'user_id,display_name\n300,"Ann ""A"", Smith"\n301,\n302,\\N\n303,"two\nlines"\n304, é𝄞 \n',
  );
  assert.equal(
    psql(...take(given)),
    "COPY 5\ncreated|1|300|\ninvalid|2|301|display_name: must not be empty\n" +
      "created|3|302|\ncreated|4|303|\ncreated|5|304|\n",
  );
  psql(
    `\\copy (select id, display_name from coupon.users where id between 300 and 304) to '${exported}' csv header`,
  );
  assert.equal(
    readFileSync(exported, "utf8"),
    'id,display_name\n300,"Ann ""A"", Smith"\n302,\\N\n303,"two\nlines"\n304, é𝄞 \n',
  );
  assert.equal(
    psql(...take(exported)),
    "COPY 4\nunchanged|1|300|\nunchanged|2|302|\nunchanged|3|303|\nunchanged|4|304|\n",
  );
});

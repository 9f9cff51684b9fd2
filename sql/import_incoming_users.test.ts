import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { after, type TestContext, test } from "node:test";
import type { ReservedSql } from "postgres";
import { options as needsPooler, startPgBouncer } from "../bench/harness/pgbouncer.ts";
import { readBlock } from "../bench/harness/readme-blocks.ts";
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

/** Runs `work` in a transaction of a session that begins and ends it by itself, as psql does. */
async function within<T>(sql: ReservedSql, work: () => Promise<T>, end = "commit"): Promise<T> {
  await sql`begin`;
  try {
    const result = await work();
    await sql.unsafe(end);
    return result;
  } catch (error) {
    await sql`rollback`;
    throw error;
  }
}

const importedBy = (sql: ReservedSql, ...files: string[]) =>
  within(sql, async () => {
    for (const csv of files) await copy(sql, csv);
    return importThem(sql);
  });

const imported = (csv: string) => importedBy(session, csv);

const NOTHING = { code: "55000", message: "nothing was copied in this transaction" };

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
  assert.equal(await staged(), 0);
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
  await within(session, async () => {
    await copy(session, "50,Anna\n51,Ben\n52,Cid\n53,\n");
    await session`select from import_incoming_users(reason => 'the list of May', actor => 'admin:root')`;
  });
  const last = owner`
    select command, login, new_values, reason, actor from coupon.audit order by id desc limit 1`;
  assert.deepEqual(await rows(last), [
    ["import_users", "coupon_admin", { created: 2, updated: 1 }, "the list of May", "admin:root"],
  ]);
});

test("a transaction takes what it has copied itself, in several goes, lines counted from 1", async () => {
  const other = await admin.reserve();
  const both = await within(other, async () => {
    await copy(other, "61,Ben\n62,Cid\n");
    return [await importedBy(session, "60,Ann\n", "63,Dan\n"), await importThem(other)];
  });
  assert.deepEqual(both, [
    [created(1, 60), created(2, 63)],
    [created(1, 61), created(2, 62)],
  ]);
  other.release();
});

test("under savepoints, as psql's ON_ERROR_ROLLBACK sets them", async () => {
  const lines = await within(session, async () => {
    await session`savepoint one`;
    await copy(session, "65,Ann\n");
    await session`release one`;
    await session`savepoint two`;
    return importThem(session);
  });
  assert.deepEqual(lines, [created(1, 65)]);
});

test("copied without a transaction: not imported, and removed by the next import", async () => {
  await copy(session, "70,Ann\n71,Ben\n");
  await assert.rejects(importThem(session), NOTHING);
  await within(session, () => assert.rejects(importThem(session), NOTHING), "rollback");
  assert.equal(await staged(), 2);
  assert.deepEqual([await imported("72,Cid\n"), await staged()], [[created(1, 72)], 0]);
  assert.deepEqual([await nameOf(70), await nameOf(71)], [undefined, undefined]);
});

test("two remove what was left at once: neither waits", async () => {
  const other = await admin.reserve();
  await copy(session, "75,Ann\n");
  const both = await within(other, async () => [
    await copy(other, "76,Ben\n").then(() => importThem(other)),
    await imported("77,Cid\n"),
  ]);
  assert.deepEqual([both, await staged()], [[[created(1, 76)], [created(1, 77)]], 0]);
  other.release();
});

test("a file without a row: nothing was copied", () => assert.rejects(imported(""), NOTHING));

test("taken back with its transaction, and done again", async () => {
  const work = async () => {
    await copy(session, "90,Ann\n");
    return importThem(session);
  };
  assert.deepEqual(await within(session, work, "rollback"), [created(1, 90)]);
  assert.deepEqual([await staged(), await nameOf(90)], [0, undefined]);
  assert.deepEqual(await within(session, work), [created(1, 90)]);
});

test("two at once, the same users from either end: each is created once", async () => {
  const other = await admin.reserve();
  const ids = Array.from({ length: 5_000 }, (_, i) => 100_000 + i);
  const file = (of: number[]) => of.map((id) => `${id},Ann\n`).join("");
  for (const name of ["Ann", "Ben"]) {
    const named = (of: number[]) => file(of).replaceAll("Ann", name);
    const both = await Promise.all([
      importedBy(session, named(ids)),
      importedBy(other, named(ids.toReversed())),
    ]);
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
  assert.deepEqual(await importedBy(fresh, "200000,Ann\n"), [created(1, 200_000)]);
  const lines = await importedBy(
    fresh,
    Array.from({ length: 30_000 }, (_, i) => `${200_000 + i},Ann\n`).join(""),
  );
  assert.deepEqual(
    [lines[0], lines[29_999], lines.length],
    [unchanged(1, 200_000), created(30_000, 229_999), 30_000],
  );
  fresh.release();
  await other.end();
});

test("coupon_admin puts in users, and says neither line nor transaction", async () => {
  for (const column of ["line", "copied_by"])
    await assert.rejects(
      admin.unsafe(`insert into coupon.incoming_users (${column}) overriding system value values ('1')`),
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
  test(`refuses ${argument} of ${text.length} characters`, async () => {
    await copy(session, "x,\n");
    await refusesArgument(
      session.unsafe(`select from import_incoming_users(${argument} => '${text}')`),
      argument,
      "22023",
    );
  });

const hasPsql = spawnSync("psql", ["--version"]).status === 0;
const needsPsql = { skip: hasPsql ? false : "needs psql" };
const poolerAndPsql = { skip: needsPooler.skip || needsPsql.skip };

/** A script as psql reads it from stdin, which ends at the first error; and what it printed. */
function psql(lines: readonly string[], url = adminUrl, env: Record<string, string> = {}) {
  const run = spawnSync("psql", ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url], {
    input: lines.join("\n"),
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  return { status: run.status, stdout: run.stdout, stderr: run.stderr };
}

/** A directory for files, and how a file gets into it. */
function directory(t: TestContext) {
  const place = mkdtempSync(join(tmpdir(), "coupon-bulk-"));
  t.after(() => rmSync(place, { recursive: true }));
  return (name: string, text?: string) => {
    const file = join(place, name);
    if (text !== undefined) writeFileSync(file, text);
    return file;
  };
}

/** The manual's own commands, with these files. */
const manual = readBlock(new URL("../server/README.md", import.meta.url), "bulk")
  .split("\n")
  .slice(1, -2);
const [, copyIn = "", , , copyOut = ""] = manual;
const take = (file: string) => manual.slice(0, 4).map((line) => line.replace("users.csv", file));
const give = (file: string) => [copyOut.replace("users.csv", file)];

test("in psql: the manual's commands take a file, and give one that they take", needsPsql, (t) => {
  const at = directory(t);
  const names = 'user_id,display_name\n300,"Ann ""A"", Smith"\n302,\\N\n303,"two\nlines"\n304, é𝄞 \n';
  const given = at("users.csv", names.replace("302,", "301,\n302,"));
  assert.deepEqual(psql(take(given)), {
    status: 0,
    stdout: "2|301|invalid|display_name: must not be empty\n",
    stderr: "",
  });
  const exported = at("exported.csv");
  assert.equal(psql(give(exported)).status, 0);
  const [header, ...lines] = readFileSync(exported, "utf8").split(/\n(?=\d+,)/);
  const these = lines.filter((line) => /^30[0-4],/.test(line));
  assert.equal([header, ...these].join("\n").trimEnd(), names.trimEnd());
  assert.deepEqual(psql(take(exported)), { status: 0, stdout: "", stderr: "" });
});

test("a session of another encoding: names arrive and leave in UTF-8", needsPsql, async (t) => {
  const at = directory(t);
  const latin = { PGCLIENTENCODING: "WIN1252" };
  psql(take(at("users.csv", "user_id,display_name\n310,Jürgen\n")), adminUrl, latin);
  assert.equal(await nameOf(310), "Jürgen");
  const exported = at("exported.csv");
  psql(give(exported), adminUrl, latin);
  assert.match(readFileSync(exported, "utf8"), /^310,Jürgen$/m);
});

for (const [what, text, why] of [
  [
    "without a header",
    "320,Ann\n321,Ben\n",
    'column name mismatch in header line field 1: got "320", expected "user_id"',
  ],
  [
    "with its columns the other way round",
    "display_name,user_id\n320,321\n",
    'column name mismatch in header line field 1: got "display_name", expected "user_id"',
  ],
  [
    "with a column too many",
    "user_id,display_name,email\n320,Ann,a@b.example\n",
    "wrong number of fields in header line: got 3, expected 2",
  ],
] as const)
  test(`a file ${what} is refused, and nothing of it is imported`, needsPsql, async (t) => {
    const { status, stdout, stderr } = psql(take(directory(t)("users.csv", text)));
    assert.deepEqual([status, stdout], [3, ""]);
    assert.ok(stderr.includes(why), stderr);
    assert.deepEqual([await nameOf(320), await nameOf(321), await staged()], [undefined, undefined, 0]);
  });

test(
  "through a pooler in transaction mode: nobody imports what another has copied",
  poolerAndPsql,
  async (t) => {
    const { url, stop } = await startPgBouncer(adminUrl, "transaction");
    t.after(stop);
    const file = directory(t)("users.csv", "user_id,display_name\n330,Ann\n");
    // Operator A copies and forgets the transaction. Operator B's import runs in the same session of the database.
    assert.deepEqual(psql([copyIn.replace("users.csv", file)], url), { status: 0, stdout: "", stderr: "" });
    const { status, stderr } = psql(["select * from import_incoming_users(reason => 'the list of B');"], url);
    assert.deepEqual([status, await nameOf(330)], [3, undefined]);
    assert.ok(stderr.includes("nothing was copied in this transaction"), stderr);
    assert.deepEqual(psql(take(file), url), { status: 0, stdout: "", stderr: "" });
    assert.deepEqual([await nameOf(330), await staged()], ["Ann", 0]);
  },
);

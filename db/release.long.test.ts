import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Scratch, scratchDatabase } from "../bench/harness/scratch.ts";
import { describe, isNothing, pendingOf } from "./pending.ts";
import { digestOf } from "./release.ts";
import { SOURCES, setUp } from "./setup.ts";

const SET = Number((await functionSet(SOURCES.functions)).match(/^return (\d+);$/m)?.[1]);

function functionSet(directory: string): Promise<string> {
  return readFile(join(directory, "internal/function_set.sql"), "utf8");
}

test("any change of a file, or of the number alone, is another digest", async (t) => {
  const { functions, edit } = await release(t, SET);
  const digests = new Set([await digestOf(functions)]);
  for (const file of [
    "roles.sql",
    "grants.sql",
    "wallet.sql",
    "internal/commit_durably.sql",
    "manifest.txt",
  ]) {
    await edit(file, (text) => (file === "manifest.txt" ? text.replace("wallet.sql\n", "") : `${text}\n`));
    digests.add(await digestOf(functions));
  }
  await edit("internal/function_set.sql", (text) => text.replace(`return ${SET};`, `return ${SET + 1};`));
  digests.add(await digestOf(functions));
  assert.equal(digests.size, 7);
});

/** The functions of another release, with this number. */
async function release(t: TestContext, set: number) {
  const functions = await mkdtemp(join(tmpdir(), "release-"));
  t.after(() => rm(functions, { recursive: true }));
  await cp(SOURCES.functions, functions, { recursive: true });
  const edit = async (file: string, change: (text: string) => string) => {
    const text = await readFile(join(functions, file), "utf8");
    await writeFile(join(functions, file), change(text));
  };
  await edit("internal/function_set.sql", (text) => text.replace(`return ${SET};`, `return ${set};`));
  return { functions, edit };
}

async function open(t: TestContext): Promise<Scratch> {
  const scratch = await scratchDatabase();
  t.after(() => scratch.drop());
  return scratch;
}

/** All that set-up could change. */
const everything = async ({ owner }: Scratch) => [
  ...(await owner`
    select oid, xmin::text from pg_proc where proowner = 'coupon_owner'::regrole
    union all select oid, xmin::text from pg_class where relowner = 'coupon_owner'::regrole
    union all select oid, array_to_string(rolconfig, ' ') from pg_roles
      where rolname in ('coupon_owner', 'coupon_api', 'coupon_admin', 'coupon_monitor')
    union all select oid, datacl::text from pg_database where datname = current_database()
    order by 1`.values()),
];

test("a release of before starts again: it changes nothing, and says that it only serves", async (t) => {
  const scratch = await open(t);
  const { target } = scratch;
  const next = await release(t, SET + 1);
  await next.edit("wallet.sql", (text) => text.replace("begin\n", "begin\n  perform 1;\n"));
  await setUp(target, () => {}, { functions: next.functions });
  await scratch.owner`revoke execute on function public.list_users(bigint, integer) from coupon_api`;
  const before = await everything(scratch);

  const lines: string[] = [];
  const sentence =
    `the database is of a newer release (functions ${SET + 1}, this one has ${SET}): ` +
    "this one changes nothing there and only serves";
  for (const newPasswords of [false, true])
    assert.deepEqual(await setUp(target, (line) => lines.push(line), { newPasswords }), {
      onlyServes: sentence,
      keptBy: undefined,
    });
  assert.deepEqual(lines, []);
  assert.deepEqual(await everything(scratch), before);

  const pending = await pendingOf(target);
  assert.equal(isNothing(pending), true);
  assert.equal(
    describe(pending).functions,
    `set ${SET} here, ${SET + 1} in the database; not compared, the database is of another release`,
  );
  assert.deepEqual(await everything(scratch), before);

  await setUp(target, () => {}, { functions: next.functions });
  assert.notDeepEqual(await everything(scratch), before, "its own release mends it");
});

test("the same number with other files is a developer's: loaded", async (t) => {
  const scratch = await open(t);
  const mine = await release(t, SET);
  await mine.edit("wallet.sql", (text) => text.replace("begin\n", "begin\n  perform 1;\n"));
  assert.deepEqual(await setUp(scratch.target, () => {}, mine), { keptBy: undefined });
  assert.deepEqual((await pendingOf(scratch.target)).functions?.changed, ["wallet(bigint,date,integer)"]);
});

test("who wants to go back takes the number away", async (t) => {
  const scratch = await open(t);
  const next = await release(t, SET + 1);
  await setUp(scratch.target, () => {}, { functions: next.functions });
  await scratch.owner`drop function coupon.function_set()`;
  assert.deepEqual(await setUp(scratch.target), { keptBy: undefined });
  assert.equal((await pendingOf(scratch.target)).standing.loadedSet, SET);
});

test("a migration that this release does not know: it only serves", async (t) => {
  const scratch = await open(t);
  await scratch.owner`insert into coupon.schema_migrations values ('29990101000000')`;
  const pending = await pendingOf(scratch.target);
  const { applied } = pending.standing;
  assert.equal(
    describe(pending).migrations,
    `${applied.length} applied, the newest 29990101000000; none pending; of another release: 29990101000000`,
  );
  const before = await everything(scratch);
  assert.deepEqual(await setUp(scratch.target), {
    onlyServes:
      "the database is of a newer release (migration 29990101000000, which this one does not know): " +
      "this one changes nothing there and only serves",
    keptBy: undefined,
  });
  assert.deepEqual(await everything(scratch), before);
});

test("functions that need a newer server: this release does neither", async (t) => {
  const scratch = await open(t);
  const next = await release(t, SET + 1);
  await next.edit("schema_version.sql", (text) => text.replace(/'\d{14}'/, "'29990101000000'"));
  await setUp(scratch.target, () => {}, { functions: next.functions });
  await scratch.owner`insert into coupon.schema_migrations values ('29990101000000')`;
  await assert.rejects(setUp(scratch.target), {
    message:
      `the database is of a newer release (functions ${SET + 1}, this one has ${SET}; ` +
      "migration 29990101000000, which this one does not know), " +
      "whose functions need a server that knows migration 29990101000000: start that release",
  });
});

test("a database of another branch, which lacks something of this one", async (t) => {
  const scratch = await open(t);
  const { pending, applied } = (await pendingOf(scratch.target)).standing;
  assert.deepEqual(pending, []);
  await scratch.owner`update coupon.schema_migrations set version = '29990101000000' where version = ${applied.at(-1) ?? ""}`;
  const missing = (await pendingOf(scratch.target)).standing.pending;
  assert.equal(missing.length, 1);
  await assert.rejects(setUp(scratch.target), {
    message:
      "the database is of another release (migration 29990101000000, which this one does not know) " +
      `and lacks ${missing[0]}: set up with one that has both`,
  });
});

test("a database from before the first release: said, with what to do", async (t) => {
  const { owner, target } = await open(t);
  await owner`delete from coupon.schema_migrations`;
  await owner`insert into coupon.schema_migrations values ('20261122000007')`;
  const { pending } = (await pendingOf(target)).standing;
  assert.equal(
    describe(await pendingOf(target)).migrations,
    `1 applied, the newest 20261122000007; pending: ${pending.join(", ")}; ` +
      "from before the first release, see ./sd reset: 20261122000007",
  );
  await assert.rejects(setUp(target), {
    message:
      "the database was made before the first release and can't be migrated: " +
      "./sd reset removes an embedded one, with all in it; else give DATABASE_URL of another one",
  });
});

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { cleanUp } from "../bench/harness/cleanup.ts";
import { options, startDebian } from "../bench/harness/debian.ts";
import { dropDatabase, scratchDatabase } from "../bench/harness/scratch.ts";
import { connect, withConnection } from "./connect.ts";
import { describe, isNothing, pendingOf } from "./pending.ts";
import { SETUP_LOCK, SOURCES, setUp } from "./setup.ts";
import { type Target, targetOf } from "./target.ts";

after(cleanUp);

const files = (await fs.readdir(SOURCES.migrations)).sort();
const versions = files.map((file) => file.split("_")[0] as string);
const nothing = { created: [], changed: [], leftOver: [], same: 0 };

/** A copy of migrations or functions, to be changed. */
async function copyOf(t: TestContext, source: string): Promise<string> {
  const directory = await fs.mkdtemp(join(tmpdir(), "pending-"));
  t.after(() => fs.rm(directory, { recursive: true }));
  await fs.cp(source, directory, { recursive: true });
  return directory;
}

async function edit(path: string, change: (text: string) => string): Promise<void> {
  const text = await fs.readFile(path, "utf8");
  assert.notEqual(change(text), text);
  await fs.writeFile(path, change(text));
}

/** All that set-up makes, by the transaction that wrote it last. */
const written = (target: Target) =>
  withConnection(target, async (sql) => {
    const rows = await sql`
      select oid::text, xmin::text from pg_proc where pronamespace::regnamespace::text in ('public', 'coupon')
      union all select oid::text, xmin::text from pg_class where relnamespace::regnamespace::text in ('public', 'coupon')
      union all select oid::text, xmin::text from pg_namespace
      union all select oid::text, xmin::text from pg_database where datname = current_database()
      order by 1, 2`;
    return rows.map((row) => Object.values(row).join(" "));
  });

test("a database that is empty: all migrations, and nothing is made", async (t) => {
  const serverUrl = process.env["SCRATCH_SERVER_URL"] as string;
  const name = `coupon_scratch_${randomBytes(6).toString("hex")}`;
  await withConnection(serverUrl, (sql) =>
    sql.unsafe(`create database ${name} encoding 'UTF8' template template0`),
  );
  t.after(() => withConnection(serverUrl, (sql) => dropDatabase(sql, name)));
  const target = targetOf(serverUrl).on(name);

  const before = await written(target);
  const pending = await pendingOf(target);
  assert.deepEqual(pending, {
    standing: {
      applied: [],
      unknown: [],
      pending: files,
      newest: versions.at(-1),
      set: pending.standing.set,
      loadedSet: undefined,
      oldestServer: undefined,
    },
    roles: ["coupon_owner"], // may not yet create in this database
    functions: undefined,
    rights: undefined,
    logins: [], // the server has them already
    kept: undefined,
    sequences: [],
  });
  assert.equal(isNothing(pending), false);
  assert.deepEqual(describe(pending), {
    migrations: `none applied; pending: ${files.join(", ")}`,
    roles: "differ: coupon_owner",
    functions: `set ${pending.standing.set} here, none in the database; compared after the migrations`,
    rights: "compared after the migrations",
  });
  assert.deepEqual(await written(target), before);

  await setUp(target);
  const after = await pendingOf(target);
  assert.equal(isNothing(after), true);
  assert.deepEqual({ ...after.functions, same: 0 }, nothing);
  assert.deepEqual(after.standing.applied, versions);
  assert.equal(after.standing.loadedSet, pending.standing.set);
});

test("a server that has never seen us: all roles, both logins, and none is made", options, async () => {
  const { target: superuser } = await startDebian();
  await withConnection(superuser, (sql) => sql`create role shop login createrole password 'secret'`);
  await withConnection(
    superuser,
    (sql) => sql`create database shop owner shop encoding 'UTF8' template template0`,
  );
  const target = superuser.withLogin("shop", "secret").on("shop");
  const pending = await pendingOf(target);
  assert.deepEqual(pending.roles, ["coupon_admin", "coupon_api", "coupon_monitor", "coupon_owner"]);
  assert.deepEqual(pending.logins, ["coupon_api", "coupon_admin"]);
  assert.equal(
    describe(pending).roles,
    "differ: coupon_admin, coupon_api, coupon_monitor, coupon_owner; can't log in with this DATABASE_URL yet: coupon_api, coupon_admin",
  );
  const [ours] = await withConnection(
    superuser,
    (sql) => sql`select count(*)::integer as n from pg_roles where rolname like 'coupon%'`,
  );
  assert.equal(ours?.["n"], 0);
  await setUp(target);
  assert.equal(isNothing(await pendingOf(target)), true);
});

test("functions: missing, differing in body, comment or rights, left over; and none is changed", async (t) => {
  const { owner, target, drop } = await scratchDatabase();
  t.after(drop);
  const all = (await pendingOf(target)).functions?.same as number;
  const functions = await copyOf(t, SOURCES.functions);
  await edit(join(functions, "wallet.sql"), (text) => text.replace("begin\n", "begin\n  perform 1;\n"));
  await edit(join(functions, "coupon_stats.sql"), (text) =>
    text.replace("How the drop went:", "How it went:"),
  );
  await edit(join(functions, "manifest.txt"), (text) =>
    text.replace("internal/commit_durably.sql\n", "mine.sql\n"),
  );
  await fs.writeFile(
    join(functions, "mine.sql"),
    "create or replace function public.mine(n integer) returns integer language sql set search_path = pg_catalog, pg_temp return n;",
  );
  await owner`revoke execute on function public.find_coupon(bigint, text) from coupon_monitor`;
  await owner`create function public.theirs() returns integer language sql as 'select 1'`;

  const before = await written(target);
  const pending = await pendingOf(target, { functions });
  assert.deepEqual(pending.functions, {
    created: ["mine(integer)"],
    changed: ["coupon_stats(bigint)", "find_coupon(bigint,text)", "wallet(bigint,date,integer)"],
    leftOver: ["coupon.commit_durably()", "theirs()"],
    same: all - 4,
  });
  assert.equal(
    describe(pending).functions,
    `set ${pending.standing.set} here, ${pending.standing.set} in the database; ` +
      "missing: mine(integer); differ: coupon_stats(bigint), find_coupon(bigint,text), wallet(bigint,date,integer); " +
      "left over, in no file: coupon.commit_durably(), theirs()",
  );
  assert.deepEqual(await written(target), before);

  await setUp(target, () => {}, { functions });
  const after = await pendingOf(target, { functions });
  assert.deepEqual(after.functions, {
    ...nothing,
    leftOver: ["coupon.commit_durably()", "theirs()"],
    same: all,
  });
  assert.equal(isNothing(after), true, "what is left over, set-up leaves");
});

/** Every right of every object in both schemas, as the catalogue has it. */
const rights = (target: Target) =>
  withConnection(target, async (sql) => {
    const rows = await sql`
      select pg_describe_object(a.classid, a.objid, a.objsubid) as name,
        array(select r::text from unnest(a.acl) r order by 1)::text as acl
      from (
        select 'pg_proc'::regclass, oid, 0, proacl, pronamespace from pg_proc
        union all select 'pg_class'::regclass, oid, 0, relacl, relnamespace from pg_class
        union all select 'pg_class'::regclass, oid, attnum, nullif(attacl, '{}'), relnamespace
          from pg_attribute join pg_class on attrelid = pg_class.oid
        union all select 'pg_namespace'::regclass, oid, 0, nspacl, oid from pg_namespace
      ) a (classid, objid, objsubid, acl, namespace)
      where a.namespace in ('public'::regnamespace, 'coupon'::regnamespace) and a.acl is not null
      order by 1`;
    return rows.map((row) => Object.values(row).join(" "));
  });

test("rights that no line grants: named, and set-up takes them away; others' stay", async (t) => {
  const { owner, target, drop } = await scratchDatabase();
  t.after(drop);
  const login = target.login;
  await owner.unsafe(`grant select on coupon.users to ${login}`);
  await owner`create function public.old() returns integer language sql as 'select 1'`;
  await owner`grant execute on function public.old() to coupon_api`;
  await withConnection(target, async (sql) => {
    await sql`create table public.theirs ()`;
    await sql`grant select on public.theirs to coupon_api, public`;
    await sql`create function public.theirs() returns integer language sql as 'select 1'`;
    await sql`grant execute on function public.theirs() to coupon_monitor`;
  });
  const before = await rights(target);
  const same = (await pendingOf(target)).functions?.same as number;
  await owner`grant execute on function public.set_time_zone(text, text, text) to coupon_api with grant option`;
  await owner`grant execute on function coupon.commit_durably(), coupon.check_use() to public`;
  await owner`grant update on coupon.coupons to coupon_api`;
  await owner`grant select (display_name), insert (id) on coupon.users to public, coupon_admin`;
  await owner`grant usage on sequence coupon.audit_id_seq to coupon_monitor`;
  await owner`grant create, usage on schema coupon to coupon_api`;
  const api = connect(target, { role: "coupon_api" });
  t.after(() => api.end());
  await api`grant execute on function public.set_time_zone(text, text, text) to coupon_monitor`;
  await api`update coupon.coupons set message = 'm'`;

  const given = await rights(target);
  const pending = await pendingOf(target);
  assert.deepEqual(pending.functions, {
    ...nothing,
    changed: ["coupon.commit_durably()", "set_time_zone(text,text,text)"],
    leftOver: ["old()"],
    same: same - 2,
  });
  assert.deepEqual(pending.rights, [
    "function coupon.check_use()",
    "schema coupon",
    "sequence coupon.audit_id_seq",
    "table coupon.coupons",
    "table coupon.users",
  ]);
  assert.equal(describe(pending).rights, `differ: ${pending.rights?.join(", ")}`);
  assert.equal(isNothing({ ...pending, functions: { ...nothing } }), false);
  assert.deepEqual(await rights(target), given);

  await setUp(target);
  assert.deepEqual(await rights(target), before);
  assert.equal(describe(await pendingOf(target)).rights, "as in the files");
  await assert.rejects(api`select public.set_time_zone('UTC')`, { code: "42501" });
  await assert.rejects(api`update coupon.coupons set message = 'm'`, { code: "42501" });
});

test("a line that goes from the rights goes from the database", async (t) => {
  const { owner, target, drop } = await scratchDatabase();
  t.after(drop);
  const functions = await copyOf(t, SOURCES.functions);
  await edit(join(functions, "grants.sql"), (text) =>
    text
      .replace("  coupon.settings,\n", "")
      .replace("  public.reconcile()\n", "  public.wallet(bigint, date, integer)\n"),
  );
  const pending = await pendingOf(target, { functions });
  assert.deepEqual(pending.functions?.changed, ["reconcile()"]);
  assert.deepEqual(pending.rights, ["table coupon.settings"]);
  await setUp(target, () => {}, { functions });
  const monitor = (right: string) => owner.unsafe(`select has_${right} as may`).then(([row]) => row?.["may"]);
  assert.equal(await monitor("function_privilege('coupon_monitor', 'public.reconcile()', 'execute')"), false);
  assert.equal(await monitor("table_privilege('coupon_monitor', 'coupon.settings', 'select')"), false);
  assert.equal(await monitor("table_privilege('coupon_monitor', 'coupon.coupons', 'select')"), true);
});

test("roles: a setting that differs, and nobody gets it", async (t) => {
  const { owner, target, drop } = await scratchDatabase();
  t.after(drop);
  const functions = await copyOf(t, SOURCES.functions);
  await edit(join(functions, "roles.sql"), (text) => text.replaceAll("30s", "31s"));
  const pending = await pendingOf(target, { functions });
  // A copy of a database has no rights of its own: coupon_owner may not create in it.
  assert.deepEqual(pending.roles, ["coupon_admin", "coupon_owner"]);
  assert.equal(describe(pending).roles, "differ: coupon_admin, coupon_owner");
  const [role] = await owner`select rolconfig from pg_roles where rolname = 'coupon_admin'`;
  assert.deepEqual(role?.["rolconfig"], [
    "idle_in_transaction_session_timeout=30s",
    "default_transaction_isolation=read committed",
  ]);
});

test("a migration that is pending: the functions are not compared before it", async (t) => {
  const { target, drop } = await scratchDatabase();
  t.after(drop);
  const migrations = await copyOf(t, SOURCES.migrations);
  await fs.writeFile(
    join(migrations, "29990101000000_more.sql"),
    "-- migrate:up\ncreate table coupon.more ();\n",
  );
  const pending = await pendingOf(target, { migrations });
  assert.deepEqual(pending.standing.pending, ["29990101000000_more.sql"]);
  assert.equal(pending.functions, undefined);
  assert.equal(
    describe(pending).migrations,
    `${files.length} applied, the newest ${versions.at(-1)}; pending: 29990101000000_more.sql`,
  );
});

test("a file that doesn't load is named, and nothing is changed", async (t) => {
  const { target, drop } = await scratchDatabase();
  t.after(drop);
  const functions = await copyOf(t, SOURCES.functions);
  await edit(join(functions, "wallet.sql"), (text) =>
    text.replace("state public.wallet_state", "state text"),
  );
  const before = await written(target);
  await assert.rejects(pendingOf(target, { functions }), {
    message: "sql/wallet.sql: cannot change return type of existing function",
  });
  assert.deepEqual(await written(target), before);
});

test("while another set-up is at work: a sentence, after two seconds", async (t) => {
  const { owner, target, drop } = await scratchDatabase();
  t.after(drop);
  const session = await owner.reserve();
  const [holder] = await session`select pg_backend_pid() as pid from pg_advisory_lock(${SETUP_LOCK}::bigint)`;
  await assert.rejects(pendingOf(target), {
    message:
      `another set-up is at work: pid ${holder?.["pid"]}, login ${target.login} (coupon-setup), holds what it must lock: ` +
      "end that session or wait for it, then try again",
  });
  await session`select pg_advisory_unlock(${SETUP_LOCK}::bigint)`;
  session.release();
});

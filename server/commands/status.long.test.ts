import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { initCluster, launch } from "../../bench/harness/cluster.ts";
import { embeddedBin } from "../../bench/harness/nodes.ts";
import { dropDatabase, scratchDatabase } from "../../bench/harness/scratch.ts";
import { until } from "../../bench/harness/waiting.ts";
import { connect, withConnection } from "../../db/connect.ts";
import { setUp } from "../../db/setup.ts";
import { targetOf } from "../../db/target.ts";
import { version } from "../api/version.ts";
import { connectDb } from "../database/functions.ts";
import { readEnv } from "../env.ts";
import { status } from "./status.ts";

/** The table's lines up to the settings, without what differs from run to run; addresses and pids stay. */
async function told(variables: Record<string, string>): Promise<string[]> {
  const lines: string[] = [];
  await status(readEnv(variables, ""), (name, words) => void lines.push(`${name}: ${words}`));
  return lines.slice(1, lines.indexOf("settings: ")).map((line) =>
    line
      .replace(/PostgreSQL [\d.]+( \([^)]*\))?/, "PostgreSQL")
      .replace(/\d+\.\d+ s\b/, "<seconds> s")
      .replace(/set \d+ /, "set <n> "),
  );
}

const where = (url: string) => `${new URL(url).host}${new URL(url).pathname}`;

async function pidOf(session: { unsafe(text: string): PromiseLike<readonly Record<string, unknown>[]> }) {
  const [row] = await session.unsafe("select pg_backend_pid() as pid");
  return row?.["pid"];
}

async function open(t: TestContext) {
  const scratch = await scratchDatabase();
  t.after(() => scratch.drop());
  return scratch;
}

test("servers, the longest transaction, and who waits for whom", async (t) => {
  const { setupUrl, apiUrl, owner, admin } = await open(t);
  const db = connectDb(apiUrl);
  t.after(() => db.close(100));
  await db.schemaVersion();
  const holder = await owner.reserve();
  await holder`begin`;
  await holder`lock table coupon.users in share mode`;
  const blocked = admin.reserve().then(async (session) => {
    const pid = await pidOf(session);
    return { pid, done: session`select import_users(array[1], array['Ann'])`.then(() => session.release()) };
  });
  const { pid: waiter, done } = await blocked;
  for (;;) {
    const [row] =
      await owner`select count(*)::integer as n from pg_locks where not granted and pid = ${waiter as number}`;
    if (row?.["n"] > 0) break;
  }
  const lines = (await told({ DATABASE_URL: setupUrl })).slice(-7);
  const pid = await pidOf(holder);
  assert.deepEqual(lines, [
    `server: process ${process.pid} at 127.0.0.1: 1 connections, 1 idle`,
    "commit: waits for this server only",
    `transaction: open for <seconds> s: idle in transaction, ${new URL(setupUrl).username} (coupon-setup), pid ${pid}`,
    `locks: coupon_admin (coupon-setup), pid ${waiter}, waits <seconds> s for coupon.users, held by pid ${pid}`,
    `time zone: UTC, by PostgreSQL's rules, which are those of tzdata ${process.versions["tz"]} of Node.js for two years`,
    "content: 0 users, 0 coupons live",
    "plan: 0 coupons a week, no day is filled",
  ]);
  await holder`rollback`;
  holder.release();
  await done;
});

test("a prepared transaction, which has no session: what it holds, and its name", async (t) => {
  const made = await initCluster(await embeddedBin());
  const running = await launch(made, ["fsync=off", "max_prepared_transactions=1"]);
  t.after(async () => {
    await running.end("SIGQUIT");
    await rm(made.home, { recursive: true, force: true });
  });
  await withConnection(running.target, async (root) => {
    await root`create role shop login createrole password 'secret'`;
    await root`create database shop owner shop encoding 'UTF8' template template0`;
  });
  const shop = running.target.withLogin("shop", "secret").on("shop");
  await setUp(shop);
  await withConnection(
    shop,
    async (sql) => {
      await sql
        .unsafe("begin; lock table coupon.users in share mode; prepare transaction 'left over'")
        .simple();
    },
    { role: "coupon_owner" },
  );
  const admin = connect(shop.as("coupon_admin"));
  t.after(() => admin.end({ timeout: 1 }));
  const waiter = await pidOf(admin);
  const blocked = admin`select import_users(array[1], array['Ann'])`.execute();
  await withConnection(shop, async (sql) => {
    await until(
      async () => (await sql`select from pg_locks where not granted and pid = ${waiter as number}`).count > 0,
    );
    const lines = await told({ DATABASE_URL: shop.url });
    assert.deepEqual(lines.slice(-5, -3), [
      "transaction: open for <seconds> s: prepared as 'left over', coupon_owner",
      `locks: coupon_admin (coupon-setup), pid ${waiter}, waits <seconds> s for coupon.users, held by a prepared transaction`,
    ]);
    await sql`set role coupon_owner`;
    await sql.unsafe("rollback prepared 'left over'");
  });
  await blocked;
});

test("until when the plan is filled", async (t) => {
  const { setupUrl, admin } = await open(t);
  await admin`select from set_plan_entry(1, 1, 'L-{date}', 'm', 'd', '23:59', '23:59:59', 5)`;
  const [{ day } = {}] = await admin`select to_char(max(day), 'YYYY-MM-DD') as day from fill_days()`;
  assert.equal((await told({ DATABASE_URL: setupUrl })).at(-1), `plan: 1 coupon a week, filled until ${day}`);
});

test("a database that is not set up", async (t) => {
  const serverUrl = process.env["SCRATCH_SERVER_URL"] as string;
  const name = `coupon_scratch_${randomBytes(6).toString("hex")}`;
  await withConnection(serverUrl, (sql) =>
    sql.unsafe(`create database ${name} encoding 'UTF8' template template0`),
  );
  t.after(() => withConnection(serverUrl, (sql) => dropDatabase(sql, name)));
  const { url } = targetOf(serverUrl).on(name);
  const lines = await told({ DATABASE_URL: url });
  assert.equal(lines[0], `database: PostgreSQL at ${where(url)}`);
  assert.equal(lines[1], `version: ${version} here, none in the database`);
  assert.match(lines[2] ?? "", /^migrations: none applied; pending: 20261128000001_tables\.sql, /);
  assert.deepEqual(lines.slice(3), [
    "roles: differ: coupon_owner",
    "functions: set <n> here, none in the database; compared after the migrations",
    "rights: compared after the migrations",
    "server: none is connected",
    "commit: waits for this server only",
    "transaction: none is open",
    "locks: none is waited for",
    "content: none: run ./sd migrate, or ./sd for the demo",
  ]);
});

test("a database that can't be compared: why, and the rest all the same", async (t) => {
  const { setupUrl, owner } = await open(t);
  await owner`drop function public.wallet(bigint, date, integer)`;
  await owner`create function public.wallet(user_id bigint, before date, page_size integer) returns text return 'x'`;
  const lines = await told({ DATABASE_URL: setupUrl });
  assert.deepEqual(lines.slice(1, 4), [
    `version: ${version} here, ${version} in the database`,
    "set-up: can't be compared: sql/wallet.sql: cannot change return type of existing function",
    "server: none is connected",
  ]);
});

test("a schema that has another name: what can be told all the same", async (t) => {
  const { setupUrl } = await open(t);
  await withConnection(setupUrl, (sql) => sql`alter schema coupon rename to coupon2`);
  const lines = await told({ DATABASE_URL: setupUrl });
  assert.deepEqual(lines.slice(1), [
    `version: ${version} here, none in the database`,
    "set-up: can't be compared: schema coupon is called coupon2, and set-up would make an empty one beside it: " +
      "run 'alter schema coupon2 rename to coupon' first",
    "server: none is connected",
    "commit: waits for this server only",
    "transaction: none is open",
    "locks: none is waited for",
    `content: can't be read: relation "coupon.settings" does not exist: ./sd doctor says what differs`,
  ]);
});

test("a session that holds every table: said, and nothing waits", async (t) => {
  const { setupUrl, owner, target } = await open(t);
  const holder = await owner.reserve();
  t.after(() => holder.release());
  await holder`begin`;
  await holder`lock table coupon.schema_migrations, coupon.coupons, coupon.users`;
  const pid = await pidOf(holder);
  const held = "can't be read, somebody holds its tables: see the longest transaction";
  const lines = (await told({ DATABASE_URL: setupUrl })).slice(1);
  assert.match(
    lines[1] ?? "",
    new RegExp(
      `^set-up: can't be compared: the comparison: pid ${pid}, login ${target.login} .* holds what it must lock, .* since `,
    ),
  );
  assert.deepEqual(
    lines.filter((_, i) => i !== 1),
    [
      `version: ${held}`,
      "server: none is connected",
      "commit: waits for this server only",
      `transaction: open for <seconds> s: idle in transaction, ${target.login} (coupon-setup), pid ${pid}`,
      "locks: none is waited for",
      `content: ${held}`,
    ],
  );
});

test("the server's login alone: what it may see", async (t) => {
  const { apiUrl, admin, owner } = await open(t);
  const [row] = await admin`select migration from schema_version()`;
  assert.deepEqual(await told({ API_DATABASE_URL: apiUrl }), [
    `database: PostgreSQL at ${where(apiUrl)}, set up elsewhere`,
    `version: ${version} here, ${version} in the database`,
    `migrations: the newest ${row?.["migration"]}`,
  ]);
  await owner`drop function public.schema_version()`;
  assert.deepEqual((await told({ API_DATABASE_URL: apiUrl })).slice(1), [
    `version: ${version} here, none in the database`,
    "migrations: none: run ./sd migrate where set-up is done",
  ]);
});

test("nothing listens: the settings all the same, and no password", async () => {
  const lines: string[] = [];
  const env = readEnv({ DATABASE_URL: "postgres://shop:hush@127.0.0.1:1/shop" }, "");
  await assert.rejects(
    status(env, (_, words) => void lines.push(words)),
    { message: "no PostgreSQL answers at 127.0.0.1:1 (ECONNREFUSED): start it, or correct DATABASE_URL" },
  );
  assert.ok(lines.some((line) => line.includes("postgres://shop:***@127.0.0.1:1/shop")));
  assert.ok(!lines.join().includes("hush"));
});

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import * as fs from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { firstStart, madeDataDir, newDataDir, starter, startInChild } from "../../bench/harness/embedded.ts";
import { until } from "../../bench/harness/waiting.ts";
import { connect, withConnection } from "../connect.ts";
import { type Embedded, embeddedStatus, startEmbedded, stopEmbedded } from "./embedded.ts";

const linux = process.platform === "linux";
const root = process.getuid?.() === 0;

after(cleanUp);

async function runningPid(dataDir: string): Promise<number> {
  const { pid } = await embeddedStatus({ dataDir });
  assert.ok(pid, "a server runs");
  return pid;
}

/** The parent of a living process; a zombie that nobody has collected yet is not one. */
function parentOf(pid: string): string | undefined {
  try {
    const [state, parent] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return state === "Z" ? undefined : parent;
  } catch {
    return undefined;
  }
}

/** kill -9 of the postmaster and all its children, as a power failure would. */
async function killHard(dataDir: string): Promise<void> {
  const postmaster = `${await runningPid(dataDir)}`;
  const children = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && parentOf(pid) === postmaster);
  assert.ok(children.length >= 3, "checkpointer, writer and others were found");
  for (const pid of [postmaster, ...children]) process.kill(Number(pid), "SIGKILL");
  await until(() => ![postmaster, ...children].some(parentOf));
}

/** One server for those who only look; with settings that need quoting. */
const settings = { max_connections: "50", log_line_prefix: `it's "$HOME" \`%p\` \\ ` };
let shared: Promise<Embedded> | undefined;
function sharedServer(): Promise<Embedded> {
  shared ??= madeDataDir().then((dataDir) => startEmbedded({ dataDir, settings }));
  return shared;
}

test("the first start creates, the second adopts", async () => {
  const dataDir = await newDataDir();
  assert.deepEqual(await embeddedStatus({ dataDir }), { running: false });
  assert.equal(await stopEmbedded({ dataDir }), false);

  const { first, second, ...made } = await firstStart();
  assert.equal(first.started, true);
  assert.equal(second.started, false);
  assert.equal(second.url, first.url);
  assert.equal(first.directory, made.dataDir);
  assert.deepEqual(await embeddedStatus(made), { running: false, version: "18" });
});

test("the returned role is no superuser and creates roles and databases", async () => {
  const { url } = await sharedServer();
  await withConnection(url, async (sql) => {
    const [role] = await sql`
      select current_user, current_database(), rolsuper, rolcreaterole, rolcreatedb, rolreplication,
        rolbypassrls, pg_get_userbyid(datdba) as owner
      from pg_roles, pg_database where rolname = current_user and datname = current_database()
    `;
    assert.deepEqual(
      { ...role },
      {
        current_user: "coupon_setup",
        current_database: "coupon",
        rolsuper: false,
        rolcreaterole: true,
        rolcreatedb: true,
        rolreplication: false,
        rolbypassrls: false,
        owner: "coupon_setup",
      },
    );
    await sql`create role coupon_owner`;
    await sql`create database another`;
  });
});

test("encoding, locale, durability and settings are as asked", async () => {
  const { url } = await sharedServer();
  await withConnection(url, async (sql) => {
    const show = async (name: string) => (await sql.unsafe(`show ${name}`).values())[0]?.[0];
    const shown: Record<string, string> = {};
    for (const name of ["server_encoding", "lc_messages", "timezone", "fsync", "full_page_writes"])
      shown[name] = await show(name);
    for (const name of ["synchronous_commit", "data_checksums", "listen_addresses", "shared_buffers"])
      shown[name] = await show(name);
    assert.deepEqual(shown, {
      server_encoding: "UTF8",
      lc_messages: "C",
      timezone: "UTC",
      fsync: "on",
      full_page_writes: "on",
      synchronous_commit: "on",
      data_checksums: "on",
      listen_addresses: "127.0.0.1",
      shared_buffers: "256MB",
    });
    assert.equal(await show("max_connections"), settings.max_connections);
    assert.equal(await show("log_line_prefix"), settings.log_line_prefix);
    const [database] = await sql`
      select datlocprovider, datlocale, datcollate from pg_database where datname = current_database()
    `;
    assert.deepEqual({ ...database }, { datlocprovider: "b", datlocale: "C.UTF-8", datcollate: "C" });
  });
});

test("passwords and cluster are the invoking and the server's user's own", async () => {
  const { url, directory: dataDir } = await sharedServer();
  for (const name of ["superuser.password", "setup.password"]) {
    const { mode, uid } = statSync(join(dataDir, name));
    assert.deepEqual([name, mode & 0o777, uid], [name, 0o600, process.getuid?.()]);
    assert.match(readFileSync(join(dataDir, name), "utf8"), /^[0-9a-f]{64}$/);
  }
  assert.equal(statSync(dataDir).mode & 0o777, root ? 0o711 : 0o700);
  assert.equal(statSync(join(dataDir, "postgres")).mode & 0o777, 0o700);
  const wrong = url.replace(/:[0-9a-f]{64}@/, ":wrong@");
  await assert.rejects(
    withConnection(wrong, (sql) => sql`select 1`),
    { code: "28P01" },
  );
});

test("stop and start keep the data and the port", async () => {
  const dataDir = await madeDataDir();
  const { url } = await startEmbedded({ dataDir });
  await withConnection(url, (sql) => sql`create table kept as select 7 as n`);
  const pid = await runningPid(dataDir);
  assert.equal(await stopEmbedded({ dataDir }), true);
  if (linux) assert.equal(parentOf(`${pid}`), undefined, "the process has ended");
  assert.deepEqual(await embeddedStatus({ dataDir }), { running: false, version: "18" });
  assert.equal(await stopEmbedded({ dataDir }), false);

  const again = await startEmbedded({ dataDir });
  assert.equal(again.started, true);
  assert.equal(again.url, url);
  assert.equal((await withConnection(again.url, (sql) => sql`select n from kept`))[0]?.["n"], 7);
});

test("takes another port when the last one is taken", async () => {
  const dataDir = await madeDataDir();
  const port = Number(new URL((await startEmbedded({ dataDir })).url).port);
  await stopEmbedded({ dataDir });
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.listen(port, "127.0.0.1", resolve));
  try {
    const { url } = await startEmbedded({ dataDir });
    assert.notEqual(Number(new URL(url).port), port);
    assert.equal(readFileSync(join(dataDir, "port"), "utf8"), `${new URL(url).port}\n`);
  } finally {
    squatter.close();
  }
});

test("two data directories have their own servers", async () => {
  const [a, b] = [await madeDataDir(), await madeDataDir()];
  const [one, two] = await Promise.all([startEmbedded({ dataDir: a }), startEmbedded({ dataDir: b })]);
  assert.notEqual(new URL(one.url).port, new URL(two.url).port);
  const { pid, ...status } = await embeddedStatus({ dataDir: a });
  assert.ok(pid);
  assert.deepEqual(status, { running: true, port: Number(new URL(one.url).port), version: "18" });
  await stopEmbedded({ dataDir: a });
  assert.equal((await embeddedStatus({ dataDir: b })).running, true);
  assert.equal((await withConnection(two.url, (sql) => sql`select 1 as one`))[0]?.["one"], 1);
});

test("two processes starting at once share one server", async () => {
  const dataDir = await newDataDir();
  const [a, b] = await Promise.all([startInChild(dataDir), startInChild(dataDir)]);
  assert.deepEqual([a.error, b.error], [undefined, undefined]);
  assert.equal(a.url, b.url);
  assert.deepEqual([a.started, b.started].sort(), [false, true]);
  assert.notEqual(new URL(a.url).password, new URL((await firstStart()).first.url).password);
  assert.equal((await embeddedStatus({ dataDir })).running, true);
});

test("recovers a committed row after kill -9 of all processes", { skip: !linux }, async () => {
  const dataDir = await madeDataDir();
  const { url } = await startEmbedded({ dataDir });
  await withConnection(url, (sql) => sql`create table kept as select 7 as n`);
  await killHard(dataDir);
  assert.ok(existsSync(join(dataDir, "postgres/postmaster.pid")), "a stale pid file");
  assert.deepEqual(await embeddedStatus({ dataDir }), { running: false, version: "18" });
  assert.equal(await stopEmbedded({ dataDir }), false);

  const again = await startEmbedded({ dataDir });
  assert.equal(again.started, true);
  assert.equal((await withConnection(again.url, (sql) => sql`select n from kept`))[0]?.["n"], 7);
});

test("a stale pid that another process of the same user has now does not confuse", {
  skip: !linux,
}, async () => {
  const dataDir = await madeDataDir();
  await startEmbedded({ dataDir });
  await killHard(dataDir);
  const { uid, gid } = statSync(join(dataDir, "postgres"));
  const bystander = spawn("sleep", ["600"], { uid, gid, stdio: "ignore" });
  const pidFile = join(dataDir, "postgres/postmaster.pid");
  await fs.writeFile(pidFile, readFileSync(pidFile, "utf8").replace(/^\d+/, `${bystander.pid}`));
  try {
    assert.deepEqual(await embeddedStatus({ dataDir }), { running: false, version: "18" });
    assert.equal(await stopEmbedded({ dataDir }), false);
    const { started, url } = await startEmbedded({ dataDir });
    assert.equal(started, true);
    assert.equal((await startEmbedded({ dataDir })).url, url);
    assert.equal(bystander.exitCode ?? bystander.signalCode, null, "the bystander lives");
  } finally {
    bystander.kill();
  }
});

test("waits for a server that is shutting down, then starts it", async () => {
  const dataDir = await madeDataDir();
  const { url } = await startEmbedded({ dataDir });
  const sql = connect(url);
  await sql`select 1`;
  process.kill(await runningPid(dataDir), "SIGTERM"); // smart: waits for clients, refuses new ones with 57P03
  const log = join(dataDir, "postgres/postgres.log");
  await until(() => readFileSync(log, "utf8").includes("received smart shutdown request"));
  const starting = startEmbedded({ dataDir });
  await until(() => readFileSync(log, "utf8").includes("FATAL:  the database system is shutting down"));
  await sql.end();
  assert.equal((await starting).started, true);
});

test("refuses a cluster of another major version", async () => {
  const dataDir = await madeDataDir();
  await fs.writeFile(join(dataDir, "postgres/PG_VERSION"), "17\n");
  const message =
    `${dataDir}/postgres was made by PostgreSQL 17, this is 18: ` +
    "dump it with the old version and restore, or move it away to start empty";
  await assert.rejects(startEmbedded({ dataDir }), { message });
});

test("a start killed during initdb leaves nothing half-made", async () => {
  const dataDir = await newDataDir();
  const killed = starter(dataDir);
  const parts = () =>
    existsSync(dataDir) ? readdirSync(dataDir).filter((name) => name.includes(".part")) : [];
  const begun = () => parts().some((part) => existsSync(join(dataDir, part, "data/PG_VERSION")));
  await until(begun);
  killed.kill("SIGKILL");
  assert.equal(existsSync(join(dataDir, "postgres")), false);

  const { started, url } = await startEmbedded({ dataDir }); // the orphaned initdb may still be running
  assert.equal(started, true);
  assert.deepEqual(parts(), []);
  assert.equal((await withConnection(url, (sql) => sql`select 1 as one`))[0]?.["one"], 1);
});

test("a lost set-up password is healed, both lost is explained", async () => {
  const dataDir = await madeDataDir();
  const before = await startEmbedded({ dataDir });
  await fs.rm(join(dataDir, "setup.password"));
  const healed = await startEmbedded({ dataDir });
  assert.notEqual(healed.url, before.url);
  await withConnection(healed.url, (sql) => sql`select 1`);

  await fs.rm(join(dataDir, "setup.password"));
  await fs.rm(join(dataDir, "superuser.password"));
  const message =
    /^the role coupon_setup cannot be set up \(28P01\): restore .*superuser\.password, or stop and move/;
  await assert.rejects(startEmbedded({ dataDir }), { message });
  assert.equal((await embeddedStatus({ dataDir })).running, true, "it ran before");
  await stopEmbedded({ dataDir });
  await fs.rm(join(dataDir, "setup.password"));
  await fs.rm(join(dataDir, "superuser.password"));
  await assert.rejects(startEmbedded({ dataDir }), { message });
  assert.equal((await embeddedStatus({ dataDir })).running, false, "what a failed start launched is stopped");
});

test("says why the server did not start", async () => {
  const dataDir = await madeDataDir();
  const message =
    /^PostgreSQL did not start: .*postgres\.log\n(.*\n)*.*invalid value for parameter "shared_buffers"/;
  await assert.rejects(startEmbedded({ dataDir, settings: { shared_buffers: "much" } }), { message });
  assert.equal((await startEmbedded({ dataDir })).started, true);
});

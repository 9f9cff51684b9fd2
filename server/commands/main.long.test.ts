import assert from "node:assert/strict";
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import * as fs from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { withConnection } from "../../db/connect.ts";
import { embeddedStatus, startEmbedded, stopEmbedded } from "../../db/embedded/embedded.ts";

// The real ./sd, as a user runs it: each run a process group of its own, in a data directory of its own.

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
const linux = process.platform === "linux";
const nobody = { uid: 65534, gid: 65534 };

const groups: ChildProcess[] = [];
const dataDirs: string[] = [];
const directories: string[] = [];

after(cleanUp);
// The runner's time limit.
process.once("SIGTERM", () => void cleanUp().finally(() => process.exit(1)));

async function cleanUp(): Promise<void> {
  for (const child of groups) signalGroup(child, "SIGKILL");
  for (const dataDir of dataDirs)
    for (const at of [dataDir, join(dataDir, "scratch")]) await stopEmbedded({ dataDir: at });
  for (const directory of directories) await fs.rm(directory, { recursive: true, force: true });
}

async function directory(mode = 0o755): Promise<string> {
  const path = await fs.realpath(await fs.mkdtemp(join(tmpdir(), "sd-")));
  directories.push(path);
  await fs.chmod(path, mode);
  return path;
}

async function newDataDir(mode = 0o755): Promise<string> {
  const dataDir = join(await directory(mode), "data");
  dataDirs.push(dataDir);
  return dataDir;
}

async function listener(): Promise<{ port: number; server: Server }> {
  const server = createServer().listen(0, "0.0.0.0");
  await once(server, "listening");
  return { port: (server.address() as { port: number }).port, server };
}

async function freePort(): Promise<number> {
  const { port, server } = await listener();
  server.close();
  await once(server, "close");
  return port;
}

interface How {
  dataDir: string;
  port?: number;
  command?: string;
  env?: Record<string, string>;
  account?: { uid?: number; gid?: number };
}

/** A run of ./sd in a process group of its own, with what it has said so far. */
function sd(args: string[], { dataDir, port = 1, command = "./sd", env = {}, account = {} }: How) {
  const child = spawn(command, args, {
    ...account,
    cwd: CHECKOUT,
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
    env: {
      PATH: process.env["PATH"],
      HOME: tmpdir(),
      DATA_DIR: dataDir,
      PORT: `${port}`,
      ENV_FILE: "",
      ...env,
    },
  });
  groups.push(child);
  const run = { child, port, stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => (run.stdout += chunk));
  child.stderr.on("data", (chunk) => (run.stderr += chunk));
  return run;
}

type Run = ReturnType<typeof sd>;

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch (error) {
    assert.equal((error as { code?: string }).code, "ESRCH");
  }
}

/** The exit status, once the process is gone and its pipes are empty. */
async function ended({ child }: Run): Promise<number | string | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "close");
  return child.exitCode ?? child.signalCode;
}

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await holds()); await sleep(1))
    assert.ok(Date.now() < deadline, `waited for: ${what}`);
}

/** Runs ./sd to its end. */
async function runSd(args: string[], how: How, input = "") {
  const run = sd(args, how);
  // Some commands end before anything could be written to them.
  run.child.stdin.on("error", () => {}).end(input);
  const status = await new Promise((resolve) => void run.child.once("close", resolve));
  return { status, stdout: run.stdout, stderr: run.stderr };
}

/** ./sd start, or `command`, until it answers; `seconds` says how long that took. */
async function started(how: How, args = ["start"]): Promise<Run & { seconds: number }> {
  const began = performance.now();
  const run = sd(args, { ...how, port: how.port ?? (await freePort()) });
  for (const deadline = Date.now() + 90_000; ; await sleep(10)) {
    assert.equal(run.child.exitCode, null, `./sd start ended:\n${run.stdout}\n${run.stderr}`);
    assert.ok(Date.now() < deadline, `./sd start serves within 90 s:\n${run.stdout}\n${run.stderr}`);
    const ready = await fetch(`http://127.0.0.1:${run.port}/readyz`).catch(() => undefined);
    if (ready?.status !== 200) continue;
    assert.deepEqual(await ready.json(), { status: "ok" });
    return Object.assign(run, { seconds: (performance.now() - began) / 1000 });
  }
}

/** Processes of this data directory: those that were given it, and PostgreSQL's, which work in it. */
function processesOf(dataDir: string): string[] {
  if (!linux) return [];
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid) || pid === `${process.pid}`) return false;
    try {
      // A zombie has neither.
      return (
        readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(`DATA_DIR=${dataDir}`) ||
        `${readlinkSync(`/proc/${pid}/cwd`)}/`.startsWith(`${dataDir}/`)
      );
    } catch {
      return false;
    }
  });
}

/** Asserts that nothing runs any more and that the database was shut down in order. */
async function nothingRuns(dataDir: string): Promise<void> {
  assert.deepEqual(await embeddedStatus({ dataDir }), { running: false, version: "18" });
  assert.deepEqual(processesOf(dataDir), []);
  const log = await fs.readFile(join(dataDir, "postgres/postgres.log"), "utf8");
  assert.match(log.trimEnd().split("\n").at(-1) ?? "", /database system is shut down$/);
}

/** Stops with SIGTERM to ./sd alone. */
async function stop(run: Run): Promise<void> {
  run.child.kill("SIGTERM");
  assert.equal(await ended(run), 0, run.stderr);
}

function memo<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** A data directory with the demo in it, made by a first start that Ctrl-C ended. */
const demo = memo(async () => {
  const dataDir = await newDataDir();
  const run = await started({ dataDir });
  signalGroup(run.child, "SIGINT");
  return { dataDir, run, status: await ended(run) };
});

/** A data directory that was set up without the demo. */
const plain = memo(async () => {
  const dataDir = await newDataDir();
  const { status, stderr } = await runSd([], { dataDir, env: { SEED: "off" } });
  assert.equal(status, 0, stderr);
  await stopEmbedded({ dataDir });
  return dataDir;
});

/** One statement, on a database that runs; the first value of its first row. */
async function firstOf(dataDir: string, statement: string): Promise<unknown> {
  const { url } = await startEmbedded({ dataDir });
  const [row] = await withConnection(url, (sql) => sql.unsafe(statement).values(), { role: "coupon_owner" });
  return row?.[0];
}

/** The demo's breakfast coupon of today is live all day. */
const BREAKFAST = `
  select coupon_id::integer from live_coupons() where code ~ '^BREAKFAST' order by start_time desc limit 1`;

async function tokenOf(dataDir: string, userId: number): Promise<string> {
  const { status, stdout } = await runSd(["token", "--user", `${userId}`], { dataDir });
  assert.equal(status, 0);
  return stdout.trim();
}

async function issue(run: Run, token: string, couponId: number) {
  const response = await fetch(`http://127.0.0.1:${run.port}/coupons/${couponId}/issue`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** A file for ./sd test. */
async function emptyTest(): Promise<string> {
  const path = join(await directory(), "empty.test.ts");
  await fs.writeFile(path, 'import { test } from "node:test"; test("nothing", () => {});');
  return path;
}

/** The program's path, or nothing. */
function which(name: string): string | undefined {
  try {
    return execFileSync("sh", ["-c", 'command -v "$1"', "sh", name], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

test("the first start: serves, and ends with Ctrl-C; the next ones take under 3 s", async (t) => {
  const { dataDir, run, status } = await demo();
  t.diagnostic(`first start ${run.seconds.toFixed(1)} s`);
  assert.ok(run.seconds < 60);
  assert.equal(status, 0);
  assert.equal(run.stderr, "");
  assert.match(run.stdout, /^embedded PostgreSQL, on loopback: for trying out.*Production: DATABASE_URL$/m);
  assert.match(run.stdout, /^ {2}seeded 100000 users, 6 coupons$/m);
  await nothingRuns(dataDir);

  // What the same machine takes, as busy as it is, for a Node that does nothing: 0.3 s where a start takes 2.
  const bare: number[] = [];
  const times: number[] = [];
  for (let i = 0; i < 3; i++) {
    const began = performance.now();
    execFileSync(process.execPath, ["--import", "tsx", "-e", "0"], { cwd: CHECKOUT });
    bare.push((performance.now() - began) / 1000);
    const again = await started({ dataDir });
    times.push(again.seconds);
    assert.doesNotMatch(again.stdout, /creating|seeded \d+ users/);
    await stop(again);
    assert.equal(again.stderr, "");
    await nothingRuns(dataDir);
  }
  const list = (seconds: number[]) => seconds.map((each) => each.toFixed(2)).join(", ");
  t.diagnostic(`next starts ${list(times)} s, a bare Node ${list(bare)} s`);
  const best = Math.min(...times);
  assert.ok(best < Math.max(3, 10 * Math.min(...bare)), `the best of three took ${best.toFixed(2)} s`);
});

test("Ctrl-C while it sets up leaves nothing running", async () => {
  const dataDir = await newDataDir();
  const run = sd(["start"], { dataDir, port: await freePort() });
  for (const deadline = Date.now() + 60_000; !run.stdout.includes("users"); await sleep(5)) {
    assert.equal(run.child.exitCode, null, run.stderr);
    assert.ok(Date.now() < deadline, run.stdout);
  }
  signalGroup(run.child, "SIGINT");
  assert.equal(await ended(run), 130);
  await nothingRuns(dataDir);

  const again = await started({ dataDir });
  const users = await firstOf(dataDir, "select count(*)::integer from coupon.users");
  assert.equal(users, 100_000, "it goes on from there");
  await stop(again);
});

test("Ctrl-C just before it serves: it doesn't serve, or no more", async () => {
  const dataDir = await plain();
  const run = sd(["start"], { dataDir, env: { SEED: "off" } });
  await until(async () => run.stdout.includes("set up in"), "set-up");
  run.child.kill("SIGINT");
  await until(async () => run.child.exitCode !== null || run.child.signalCode !== null, "its end");
  await nothingRuns(dataDir);
});

test("Ctrl-C in a command that started the database stops it, and doesn't wait for the statement", async () => {
  const dataDir = await plain();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    const run = sd(["sql", "select pg_advisory_lock(4712), pg_sleep(600)"], { dataDir });
    await until(async () => (await embeddedStatus({ dataDir })).running, "it starts");
    const asked = "select count(*)::integer from pg_locks where locktype = 'advisory' and objid = 4712";
    await until(async () => (await firstOf(dataDir, asked)) === 1, "it sleeps");
    signalGroup(run.child, signal);
    assert.equal(await ended(run), signal === "SIGINT" ? 130 : 143);
    assert.deepEqual([run.stdout, run.stderr], ["", ""]);
    await nothingRuns(dataDir);
  }
});

test("Ctrl-C at any time leaves nothing running", async (t) => {
  const dataDir = await plain();
  const probe = await emptyTest();
  // So long after PostgreSQL is on its way: letting us in, set-up of the template, the command itself, the stop.
  for (const [args, home, delays] of [
    [["check"], dataDir, [0, 100, 200, 300]],
    [["test", probe], join(dataDir, "scratch"), [0, 300, 800, 1300]],
  ] as const) {
    if (home !== dataDir) assert.equal((await runSd([...args], { dataDir })).status, 0);
    for (const delay of delays) {
      const run = sd([...args], { dataDir });
      await until(async () => (await embeddedStatus({ dataDir: home })).running, "it starts");
      await sleep(delay);
      signalGroup(run.child, "SIGINT");
      t.diagnostic(`${args[0]}, ${delay} ms later: ${await ended(run)}`);
      if (delay === 0) assert.deepEqual([run.stdout, run.stderr, await ended(run)], ["", "", 130]);
      await nothingRuns(home);
      assert.deepEqual(processesOf(dataDir), []);
    }
  }
});

/** ./sd test and its like, on a program that uses a database of its own once it is told to. */
async function sharer(dataDir: string): Promise<Run & { goOn(): Promise<void> }> {
  const program = `
    const { scratchDatabase } = await import("./bench/harness/scratch.ts");
    console.log("in");
    for await (const _ of process.stdin) break;
    const { admin, drop } = await scratchDatabase();
    console.log((await admin\`select count(*) as n from live_coupons()\`)[0].n);
    await drop();
    process.exit();`;
  const node = ["--import", "tsx"];
  const command = [process.execPath, ...node, "--input-type=module", "-e", program];
  const run = sd([...node, "bench/harness/main.ts", ...command], {
    dataDir,
    command: process.execPath,
  });
  await until(async () => run.stdout === "in\n" || run.child.exitCode !== null, "it is in");
  assert.deepEqual([run.stdout, run.stderr], ["in\n", ""]);
  return Object.assign(run, {
    async goOn() {
      run.child.stdin.end("go on\n");
      assert.equal(await ended(run), 0, run.stderr);
      assert.equal(run.stdout, "in\n0\n");
    },
  });
}

test("several ./sd test at once share a server, and the last one out stops it", async () => {
  const dataDir = await newDataDir();
  const home = join(dataDir, "scratch");
  const [first, second] = await Promise.all([sharer(dataDir), sharer(dataDir)]);
  const probe = await emptyTest();
  // Nobody else has a session meanwhile.
  assert.equal((await runSd(["test", probe], { dataDir })).status, 0);
  await first.goOn();
  assert.equal((await embeddedStatus({ dataDir: home })).running, true);
  const { url } = await startEmbedded({ dataDir: home });
  const left = () =>
    withConnection(url, (sql) =>
      sql`select from pg_database where datname like 'coupon\_%'`.then((all) => all.length),
    );
  assert.equal(await left(), 1, "the second one's template");
  await second.goOn();
  await nothingRuns(home);

  // Coming and going at the same time.
  for (let round = 0; round < 2; round++) {
    const runs = await Promise.all(Array.from({ length: 4 }, () => runSd(["test", probe], { dataDir })));
    assert.deepEqual(
      runs.map(({ status, stderr }) => [status, stderr]),
      Array(4).fill([0, ""]),
    );
    await nothingRuns(home);
  }
});

test("what ./sd start prints works when pasted", async (t) => {
  if (!which("curl")) return t.skip("needs curl");
  const { dataDir } = await demo();
  const run = await started({ dataDir });
  const lines = run.stdout.split("\n").filter((line) => /^ {2}(curl|\.\/sd) /.test(line));
  assert.deepEqual(
    lines.map((line) => line.trim().split(" ")[0]),
    ["curl", "curl", "./sd"],
  );
  const paste = async (line: string) => {
    const pasted = sd(["-c", line], { dataDir, port: run.port, command: "sh" });
    pasted.child.stdin.on("error", () => {}).end();
    assert.equal(await ended(pasted), 0, pasted.stderr);
    return pasted.stdout;
  };
  const [post, list, psql] = lines as [string, string, string];
  assert.equal(JSON.parse(await paste(post)).outcome, "issued");
  assert.equal(JSON.parse(await paste(post)).outcome, "already_issued");
  assert.ok(JSON.parse(await paste(list)).coupons.length >= 1);
  if (which("psql")) assert.match(await paste(psql), /^ +outcome +\|.*\n.*\n issued +\| +2 /);
  await stop(run);
});

test("after kill -9 of everything the next start recovers, and a grant is still there", async (t) => {
  if (!linux) return t.skip("needs /proc");
  const { dataDir } = await demo();
  const run = await started({ dataDir });
  const token = await tokenOf(dataDir, 4711);
  const coupon = Number(await firstOf(dataDir, BREAKFAST));
  const grant = await issue(run, token, coupon);
  assert.equal(grant.status, 201);
  assert.equal(grant.body["outcome"], "issued");

  const all = processesOf(dataDir);
  assert.ok(all.length >= 8, `supervisor, server and PostgreSQL's processes: ${all.length}`);
  for (const pid of all)
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch (error) {
      // Gone with one that was killed before it.
      assert.equal((error as { code?: string }).code, "ESRCH");
    }
  await ended(run);
  for (const deadline = Date.now() + 20_000; processesOf(dataDir).length > 0; await sleep(5))
    assert.ok(Date.now() < deadline, "all are gone");

  const again = await started({ dataDir });
  const log = await fs.readFile(join(dataDir, "postgres/postgres.log"), "utf8");
  assert.match(log, /database system was not properly shut down; automatic recovery in progress/);
  const { outcome: _, ...same } = grant.body;
  const replay = await issue(again, token, coupon);
  assert.equal(replay.status, 200);
  assert.deepEqual(replay.body, { outcome: "already_issued", ...same });
  await stop(again);
  await nothingRuns(dataDir);
});

test("a port in use, and a wrong one: a sentence, status 1, nothing left running", async () => {
  const dataDir = await plain();
  const { port, server } = await listener();
  const taken = await runSd(["start"], { dataDir, port, env: { SEED: "off" } });
  server.close();
  assert.equal(
    taken.stderr,
    `server: port ${port} is in use: end what listens there, or set PORT to another one\n`,
  );
  assert.equal(taken.status, 1);
  await nothingRuns(dataDir);

  for (const wrong of ["abc", "65536"]) {
    const { status, stderr, stdout } = await runSd(["start"], { dataDir, env: { PORT: wrong } });
    assert.match(stderr, /^sd: the environment is wrong\. PORT: .+\n$/);
    assert.equal(stdout, "");
    assert.equal(status, 1);
  }
  await nothingRuns(dataDir);
});

test("two data directories at once: both serve, neither sees the other's grants", async () => {
  const [{ dataDir: one }, two] = [await demo(), await plain()];
  const runs = await Promise.all([
    started({ dataDir: one }),
    started({ dataDir: two, env: { SEED: "off" } }),
  ]);
  await firstOf(two, "select import_users(array[1, 815], array['Ann', 'Ben'])");
  const made = await firstOf(
    two,
    "select coupon_id from create_coupon('TWO', 'm', 'd', now() - interval '1 hour', now() + interval '1 hour', 5)",
  );
  const coupons = [Number(await firstOf(one, BREAKFAST)), Number(made)] as const;
  const tokens = [await tokenOf(one, 815), await tokenOf(two, 815)] as const;
  assert.equal((await issue(runs[1], tokens[0], coupons[1])).status, 401, "nor takes the other's tokens");
  assert.equal((await issue(runs[0], tokens[0], coupons[0])).body["outcome"], "issued");
  assert.equal(await firstOf(two, "select count(*)::integer from coupon.user_coupons"), 0);
  const grant = await issue(runs[1], tokens[1], coupons[1]);
  assert.deepEqual([grant.body["outcome"], grant.body["position"]], ["issued", 1]);
  assert.equal((await issue(runs[0], tokens[0], coupons[0])).body["outcome"], "already_issued");
  await Promise.all(runs.map(stop));
  await nothingRuns(one);
  await nothingRuns(two);
});

test("set-up alone, and the commands on it, whether it runs or not", async (t) => {
  const dataDir = await newDataDir();
  const env = { SEED: "off" };
  const idle = await runSd(["status"], { dataDir });
  assert.ok(idle.stdout.startsWith(`data        ${dataDir}\ndatabase    embedded, not made yet\nsettings\n`));
  const dry = await runSd(["migrate", "--dry-run"], { dataDir });
  assert.equal(dry.stdout, "database    embedded, not made yet: ./sd migrate makes it\n");
  await assert.rejects(fs.stat(dataDir), { code: "ENOENT" });
  assert.deepEqual(await runSd(["stop"], { dataDir }), {
    status: 0,
    stdout: "nothing was running\n",
    stderr: "",
  });

  const made = await runSd([], { dataDir, env });
  assert.equal(made.status, 0);
  assert.equal(made.stderr, "");
  assert.match(made.stdout, /^the database runs until \.\/sd stop; \.\/sd start serves\n$/m);
  const { port } = await embeddedStatus({ dataDir });

  await t.test("status", async () => {
    const { stdout } = await runSd(["status"], { dataDir });
    const migrations = (await fs.readdir(join(CHECKOUT, "db/migrations"))).sort();
    const [table = "", settings = ""] = stdout.split("settings\n");
    assert.deepEqual(table.replace(/^(functions +)\d+/m, "$1<n>").split("\n"), [
      `data        ${dataDir}`,
      `database    embedded, PostgreSQL 18.4 at 127.0.0.1:${port}/coupon`,
      `migrations  ${migrations.length} applied, the newest ${migrations.at(-1)?.split("_")[0]}; none pending`,
      "roles       as in the files",
      "functions   <n>, as in the files",
      "rights      as in the files",
      "server      none is connected",
      "transaction none is open",
      "locks       none is waited for",
      "content     0 users, 0 coupons live",
      "",
    ]);
    assert.match(settings, /^ {12}PORT {13}1 \(given\)$/m);
    assert.match(settings, /^ {12}SEED {13}demo \(default\)$/m);
  });

  await t.test("migrate", async () => {
    const { stdout, status } = await runSd(["migrate", "--dry-run"], { dataDir });
    assert.match(
      stdout,
      /; none pending\nroles {7}as in the files\nfunctions {3}\d+, as in the files\nrights {6}as in the files\nnothing to do\n$/,
    );
    assert.equal(status, 0);
    await firstOf(dataDir, "drop function wallet(bigint, date, integer)");
    const { stdout: pending } = await runSd(["migrate", "--dry-run"], { dataDir });
    assert.match(
      pending,
      /^functions {3}missing: wallet\(bigint,date,integer\)\nrights {6}as in the files\nnothing was changed: this was a dry run$/m,
    );
    const migrated = await runSd(["migrate"], { dataDir });
    assert.match(migrated.stdout, /^ {2}roles\n {2}migrations\n {2}functions\nset up in [\d.]+ s\n$/);
    assert.match((await runSd(["migrate", "--dry-run"], { dataDir })).stdout, /^nothing to do$/m);
    assert.equal(await firstOf(dataDir, "select count(*)::integer from coupon.users"), 0, "no demo");
    const wrong = await runSd(["migrate", "--dry"], { dataDir });
    assert.deepEqual([wrong.status, wrong.stderr], [1, "sd: usage: ./sd migrate [--dry-run]\n"]);
  });

  await t.test("sql", async () => {
    const statement = "select current_user, 1 as n, null as nothing, true as t, '{}'::jsonb as j";
    const { status, stdout } = await runSd(["sql", statement], { dataDir });
    assert.deepEqual(stdout.split("\n"), [
      " current_user | n | nothing | t    | j",
      "--------------+---+---------+------+----",
      " coupon_admin | 1 |         | true | {}",
      "(1 row)",
      "",
    ]);
    assert.equal(status, 0);
    for (const [args, message] of [
      [["select 1; select 2"], "cannot insert multiple commands into a prepared statement"],
      [["selct 1"], 'syntax error at or near "selct"'],
      [[], 'give one statement: ./sd sql "select * from live_coupons()"'],
      [["select 1", "2"], 'give one statement: ./sd sql "select * from live_coupons()"'],
      [["delete from coupon.users"], "permission denied for table users"],
    ] as const)
      assert.deepEqual(await runSd(["sql", ...args], { dataDir }), {
        status: 1,
        stdout: "",
        stderr: `sd: ${message}\n`,
      });
  });

  await t.test("psql", async (t) => {
    if (!which("psql")) return t.skip("needs psql");
    const { status, stdout } = await runSd(["psql", "-Atc", "select current_user"], { dataDir });
    assert.equal(stdout, "coupon_admin\n");
    assert.equal(status, 0);
    assert.equal((await runSd(["psql", "-qAtc", "select no_such()"], { dataDir })).status, 1);
    assert.equal((await runSd(["psql", "-qAt"], { dataDir }, "select 1 + 1;\n")).stdout, "2\n");
  });

  await t.test("Ctrl-C in psql cancels the statement, and psql is not killed", async (t) => {
    if (!which("psql")) return t.skip("needs psql");
    const run = sd(["psql", "-qAt", "-c", "select pg_advisory_lock(4711), pg_sleep(600)"], { dataDir });
    // Whether a session sleeps is not for everyone to see, a lock is.
    const sleeping = "select count(*)::integer from pg_locks where locktype = 'advisory' and objid = 4711";
    for (const deadline = Date.now() + 20_000; (await firstOf(dataDir, sleeping)) !== 1; await sleep(20))
      assert.ok(Date.now() < deadline, run.stderr);
    signalGroup(run.child, "SIGINT");
    assert.equal(await ended(run), 1);
    assert.equal(run.stderr, "Cancel request sent\nERROR:  canceling statement due to user request\n");
  });

  await t.test("psql that isn't there", async () => {
    const bin = await directory();
    for (const name of ["sh", "dirname", "cmp", "env"])
      await fs.symlink(which(name) as string, join(bin, name));
    await fs.symlink(process.execPath, join(bin, "node"));
    assert.deepEqual(await runSd(["psql", "-c", "select 1"], { dataDir, env: { PATH: bin } }), {
      status: 1,
      stdout: "",
      stderr:
        "sd: psql is not on this machine: install it (Debian: apt-get install postgresql-client, macOS: brew install libpq), " +
        "or use ./sd sql 'select …'\n",
    });
  });

  await t.test("token", async () => {
    const { stdout } = await runSd(["token", "--users", "7-9"], { dataDir });
    const subjects = stdout
      .trimEnd()
      .split("\n")
      .map((token) => JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()).sub);
    assert.deepEqual(subjects, ["7", "8", "9"]);
    assert.deepEqual(await runSd(["token"], { dataDir }), {
      status: 2,
      stdout: "",
      stderr: "sd: usage: ./sd token --user N | --users A-B | --service | --admin\n",
    });
  });

  await t.test("check finds what was planted", async () => {
    await firstOf(
      dataDir,
      "select create_coupon('C1', 'm', 'd', now() - interval '1 minute', now() + interval '1 hour', 5)",
    );
    const check = () => runSd(["check"], { dataDir });
    assert.deepEqual(await check(), {
      status: 0,
      stdout: "0 broken invariants in 1 coupons and 0 grants\n",
      stderr: "",
    });
    const plant = (issued: number) =>
      firstOf(
        dataDir,
        `do $$ begin
          alter table coupon.coupons disable trigger user;
          update coupon.coupons set issued = ${issued};
          alter table coupon.coupons enable trigger user;
        end $$`,
      );
    await plant(2);
    assert.deepEqual(await check(), {
      status: 1,
      stdout:
        "issued_equals_grants: coupon 1, user -: issued 2, grants 0\n1 broken invariants in 1 coupons and 0 grants\n",
      stderr: "",
    });
    await plant(0);
    assert.equal((await check()).status, 0);
  });

  await t.test("stop, and the commands start it for themselves", async () => {
    assert.deepEqual(await runSd(["stop"], { dataDir }), {
      status: 0,
      stdout: "stopped the embedded PostgreSQL\n",
      stderr: "",
    });
    await nothingRuns(dataDir);
    const { stdout } = await runSd(["sql", "select count(*) as n from coupon.coupons"], { dataDir });
    assert.equal(stdout, " n\n---\n 1\n(1 row)\n");
    await nothingRuns(dataDir);
  });
});

test("reset asks, removes what is ours, and nothing else", async () => {
  const dataDir = await newDataDir();
  assert.equal((await runSd([], { dataDir, env: { SEED: "off" } })).status, 0);
  await fs.writeFile(join(dataDir, "mine.txt"), "keep this");
  const kept = (await fs.readdir(dataDir)).sort();

  for (const answer of ["no\n", ""]) {
    const { status, stdout } = await runSd(["reset"], { dataDir }, answer);
    assert.match(stdout, /nothing was removed\n$/);
    assert.equal(status, 1);
    assert.deepEqual((await fs.readdir(dataDir)).sort(), kept);
  }
  assert.equal((await embeddedStatus({ dataDir })).running, true, "it still runs");

  const removed = await runSd(["reset", "--yes"], { dataDir });
  assert.deepEqual(removed, { status: 0, stdout: `removed the database in ${dataDir}\n`, stderr: "" });
  assert.deepEqual(await fs.readdir(dataDir), ["mine.txt"]);
  assert.deepEqual(processesOf(dataDir), []);

  await fs.rm(join(dataDir, "mine.txt"));
  assert.equal((await runSd([], { dataDir, env: { SEED: "off" } })).status, 0);
  assert.equal((await runSd(["reset"], { dataDir }, "yes\n")).status, 0);
  await assert.rejects(fs.stat(dataDir), { code: "ENOENT" });
  assert.equal((await runSd(["reset", "--yes"], { dataDir })).status, 0, "again: nothing to do");

  const given = await runSd(["reset", "--yes"], { dataDir, env: { DATABASE_URL: "postgres://a@b/c" } });
  assert.equal(given.stderr, "sd: DATABASE_URL is set, and ./sd reset removes only the embedded database\n");
  assert.equal(given.status, 1);
});

test("reset where root's PostgreSQL can't reach the checkout", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("only root's PostgreSQL is another user's");
  const dataDir = await newDataDir(0o700);
  const homes = [dataDir, join(dataDir, "scratch")].map((path) => {
    const name = createHash("sha256").update(path).digest("hex").slice(0, 12);
    return join("/var/lib/coupon-drop", name);
  });
  directories.push(...homes);
  const probe = await emptyTest();
  for (let round = 1; round <= 2; round++) {
    assert.equal((await runSd(["test", probe], { dataDir })).stderr, "");
    assert.equal((await runSd([], { dataDir, env: { SEED: "off" } })).stderr, "");
    assert.deepEqual(
      homes.map((home) => existsSync(join(home, "postgres"))),
      [true, true],
    );
    // One that can't start any more is removed as well.
    if (round === 2) {
      await stopEmbedded({ dataDir });
      await fs.writeFile(join(homes[0] as string, "postgres/PG_VERSION"), "17\n");
    }
    assert.deepEqual(await runSd(["reset", "--yes"], { dataDir }), {
      status: 0,
      stdout: `removed the database in ${dataDir}\n`,
      stderr: "",
    });
    assert.deepEqual([...homes, dataDir].filter(existsSync), []);
  }
});

/** This checkout by links, with another .env. */
async function checkoutWith(settings: string): Promise<string> {
  const checkout = await directory();
  for (const name of await fs.readdir(CHECKOUT))
    if (!name.startsWith(".")) await fs.symlink(join(CHECKOUT, name), join(checkout, name));
  await fs.writeFile(join(checkout, ".env"), settings);
  return checkout;
}

test(".env is read, the environment wins, and a wrong name is refused", async () => {
  const checkout = await checkoutWith(
    "PORT=4001\nWORKERS=2\nJWT_SECRET='a secret of the tests, long enough for HS256'\n",
  );
  const dataDir = await newDataDir();
  const run = (args: string[], env: Record<string, string> = {}) =>
    promisify(execFile)(join(checkout, "sd"), args, {
      cwd: "/",
      env: { PATH: process.env["PATH"], HOME: tmpdir(), DATA_DIR: dataDir, ...env },
    });

  const { stdout, stderr } = await run(["status"], { PORT: "4002" });
  assert.match(stdout, /^ {12}PORT {13}4002 \(given\)$/m);
  assert.match(stdout, /^ {12}WORKERS {10}2 \(given\)$/m);
  assert.match(stdout, /^ {12}JWT_SECRET {7}set \(44 characters\) \(given\)$/m);
  assert.equal(stderr, "");
  const none = await run(["status"], { ENV_FILE: "" });
  assert.match(none.stdout, /^ {12}WORKERS {10}1 \(default\)$/m);
  assert.equal((await run(["token", "--user", "1"])).stdout.split(".").length, 3);
  await assert.rejects(fs.stat(dataDir), { code: "ENOENT" }, "the secret is the file's");

  await fs.appendFile(join(checkout, ".env"), "WORKER=3\n");
  for (const [args, code] of [
    [["status"], 1],
    [["token", "--user", "1"], 2],
  ] as const)
    await assert.rejects(run([...args]), {
      code,
      stdout: "",
      stderr: "sd: the environment is wrong. .env: there is no variable WORKER, see .env.example\n",
    });
});

test("./sd test has nothing of .env", async () => {
  const checkout = await checkoutWith("PORT=4001\n");
  const probe = join(checkout, "probe.test.ts");
  await fs.writeFile(
    probe,
    `import assert from "node:assert/strict"; import { test } from "node:test"; import { execFileSync } from "node:child_process";
    test("nothing", () => {
      assert.equal(process.env["PORT"], undefined);
      assert.match(execFileSync("./sd", ["status"], { encoding: "utf8" }), /PORT +3000 .default/);
    });`,
  );
  await promisify(execFile)(join(checkout, "sd"), ["test", probe], {
    env: {
      PATH: process.env["PATH"],
      HOME: tmpdir(),
      DATA_DIR: await newDataDir(),
    },
  });
});

test("an unknown command: the usage, status 1; help: status 0", async () => {
  const dataDir = await newDataDir();
  const help = await runSd(["help"], { dataDir });
  assert.equal(help.status, 0);
  assert.match(help.stdout, /^usage: \.\/sd \[command\]\n/);
  for (const wrong of ["strat", "--yes"]) {
    const { status, stdout, stderr } = await runSd([wrong], { dataDir });
    assert.equal(stderr, `${help.stdout}sd: no such command: ${wrong}\n`);
    assert.equal(stdout, "");
    assert.equal(status, 1);
  }
  await assert.rejects(fs.stat(dataDir), { code: "ENOENT" });
});

test("DATABASE_URL where nothing listens: one sentence, without its password", async () => {
  const dataDir = await newDataDir();
  const env = { DATABASE_URL: "postgres://shop:hush@localhost:1/shop" };
  const commands = [[], ["start"], ["sql", "select 1"], ["check"], ["status"]];
  const runs = await Promise.all(commands.map((args) => runSd(args, { dataDir, env })));
  for (const [i, { status, stdout, stderr }] of runs.entries()) {
    assert.equal(
      stderr,
      "sd: no PostgreSQL answers at localhost:1 (ECONNREFUSED): start it, or correct DATABASE_URL\n",
    );
    assert.ok(!stdout.includes("hush"));
    assert.equal(status, 1, commands[i]?.[0]);
  }
});

test("npm start is ./sd start", async () => {
  const dataDir = await plain();
  const run = await started({ dataDir, command: "npm", env: { SEED: "off" } });
  signalGroup(run.child, "SIGINT");
  // npm ends as it was ended itself, and need not wait.
  assert.ok([0, 130, "SIGINT"].includes((await ended(run)) ?? ""));
  for (const deadline = Date.now() + 20_000; processesOf(dataDir).length > 0; await sleep(20))
    assert.ok(Date.now() < deadline, "all are gone");
  await nothingRuns(dataDir);
});

test("another user's start, on a checkout that it may only read", async (t: TestContext) => {
  if (process.getuid?.() !== 0) return t.skip("only root can start as another user");
  const node = dirname(process.execPath);
  try {
    execFileSync("test", ["-r", join(CHECKOUT, "sd"), "-a", "-x", node], { ...nobody, cwd: "/" });
  } catch {
    return t.skip("nobody can't read this checkout");
  }
  const dataDir = await newDataDir();
  await fs.chown(dirname(dataDir), nobody.uid, nobody.gid);
  const env = { SEED: "off", HOME: dirname(dataDir), TMPDIR: dirname(dataDir) };
  const run = await started({ dataDir, account: nobody, env });
  assert.equal((await fs.stat(join(dataDir, "postgres"))).uid, nobody.uid);
  await stop(run);
  assert.equal(run.stderr, "");
  await nothingRuns(dataDir);
});

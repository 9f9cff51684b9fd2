/** A foreign server for tests: Debian's PostgreSQL, with passwords, on loopback. */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import * as fs from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { connect, databaseUrl } from "../../db/connect.ts";

/** Where the newest of Debian's versions has its programs. */
export const [bin] = existsSync("/usr/lib/postgresql")
  ? readdirSync("/usr/lib/postgresql")
      .sort((a, b) => Number(b) - Number(a))
      .map((version) => `/usr/lib/postgresql/${version}/bin`)
      .filter((directory) => existsSync(join(directory, "pg_ctl")))
  : [];

/** For a test that can't do without. */
export const options = { skip: bin === undefined ? "needs Debian's postgresql package" : false };

const servers: ChildProcess[] = [];
const directories: string[] = [];

after(cleanUp);
// The runner's time limit.
process.once("SIGTERM", () => void cleanUp().finally(() => process.exit(1)));

async function cleanUp(): Promise<void> {
  for (const server of servers) await ended(server, "SIGQUIT");
  for (const directory of directories) await fs.rm(directory, { recursive: true });
}

async function ended(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exit = once(server, "exit");
  server.kill(signal);
  await exit;
}

/** A directory of its own, removed at the end. */
export async function directory(): Promise<string> {
  const path = await fs.realpath(await fs.mkdtemp(join(tmpdir(), "debian-")));
  directories.push(path);
  return path;
}

export async function freePort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as { port: number };
  listener.close();
  await once(listener, "close");
  return port;
}

/** The URL of the superuser of a new cluster, with these lines as its pg_hba.conf. */
export async function startServer(...access: string[]): Promise<string> {
  const home = await directory();
  const account: { uid?: number; gid?: number } = {};
  if (process.getuid?.() === 0) {
    const users = (await fs.readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
    const [, , uid, gid] = users.find(([name]) => name === "postgres" || name === "nobody") ?? [];
    Object.assign(account, { uid: Number(uid), gid: Number(gid) });
    await fs.chown(home, Number(uid), Number(gid));
  }
  const data = join(home, "data");
  const env = { PATH: "/usr/bin:/bin", LC_ALL: "C" };
  await fs.writeFile(join(home, "password"), "super", { mode: 0o644 });
  const initdb = [
    "-D",
    data,
    "-U",
    "postgres",
    `--pwfile=${home}/password`,
    "-A",
    "scram-sha-256",
    "-E",
    "UTF8",
  ];
  await promisify(execFile)(join(bin as string, "initdb"), [...initdb, "--locale=C.UTF-8", "--no-sync"], {
    ...account,
    cwd: "/",
    env,
  });
  await fs.writeFile(join(data, "pg_hba.conf"), `${access.join("\n")}\n`);
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const settings = [`port=${port}`, "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"];
    const server = spawn(
      join(bin as string, "postgres"),
      ["-D", data, ...settings.flatMap((setting) => ["-c", setting])],
      { ...account, cwd: "/", env, stdio: "ignore" },
    );
    servers.push(server);
    const url = `postgres://postgres:super@127.0.0.1:${port}/postgres`;
    for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(20)) {
      if (server.exitCode !== null) break;
      const sql = connect(url);
      const answers = await sql`select 1`.then(
        () => true,
        () => false,
      );
      await sql.end({ timeout: 0 });
      if (answers) return url;
    }
    assert.ok(attempt < 5, "the server starts");
    await ended(server, "SIGQUIT");
  }
}

/** A URL of the same server. */
export function as(url: string, login: string, password: string, database: string): string {
  const other = new URL(databaseUrl(url, database));
  other.username = login;
  other.password = encodeURIComponent(password);
  return other.href;
}

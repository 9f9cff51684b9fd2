/** ./sd for tests, as a user runs it: each run a process group of its own, in a data directory of its own. */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withConnection } from "../../db/connect.ts";
import { embeddedStatus, startEmbedded } from "../../db/embedded/embedded.ts";
import { atEnd } from "./cleanup.ts";
import { temporaryDirectory } from "./temporary.ts";
import { until, untilReady } from "./waiting.ts";

export const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));

/** This checkout by links, with another .env. */
export async function checkoutWith(settings: string): Promise<string> {
  const checkout = await temporaryDirectory();
  for (const name of await readdir(CHECKOUT))
    if (!name.startsWith(".")) await symlink(join(CHECKOUT, name), join(checkout, name));
  await writeFile(join(checkout, ".env"), settings);
  return checkout;
}

export interface How {
  dataDir: string;
  port?: number;
  command?: string;
  env?: Record<string, string>;
  account?: { uid?: number; gid?: number };
}

/** The environment of a run of ./sd: only PATH is the caller's. */
export function environment({ dataDir, port = 1, env = {} }: How): Record<string, string | undefined> {
  const PATH = process.env["PATH"];
  return { PATH, HOME: tmpdir(), DATA_DIR: dataDir, PORT: `${port}`, ENV_FILE: "", ...env };
}

/** A run of ./sd, with what it has said so far. */
export function sd(args: readonly string[], how: How) {
  const child = spawn(how.command ?? "./sd", args, {
    ...how.account,
    cwd: CHECKOUT,
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
    env: environment(how),
  });
  child.once("exit", () => {
    if (!signalGroup(child, 0)) gone.add(child);
  });
  atEnd(async () => signalGroup(child, "SIGKILL"));
  const run = { child, closed: once(child, "close"), port: how.port ?? 1, stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => (run.stdout += chunk));
  child.stderr.on("data", (chunk) => (run.stderr += chunk));
  // Some commands end before anything could be written to them.
  child.stdin.on("error", () => {});
  return run;
}

export type Run = ReturnType<typeof sd>;

/** Of these runs nothing is left. Another group may have the id by now: each session of PostgreSQL is a group of its own. */
const gone = new WeakSet<ChildProcess>();

/** Sends it to the run and to all that it started and that is still in its group; 0 sends nothing. Whether there is any. */
export function signalGroup(child: ChildProcess, signal: NodeJS.Signals | 0): boolean {
  const { pid } = child;
  if (pid === undefined || gone.has(child)) return false;
  try {
    return process.kill(-pid, signal);
  } catch (error) {
    assert.equal((error as { code?: string }).code, "ESRCH");
    return false;
  }
}

/** The exit status or the signal, once the process is gone and its pipes are empty. */
export async function ended({ child, closed }: Run): Promise<number | string | null> {
  await closed;
  return child.exitCode ?? child.signalCode;
}

/** Waits until the run has said this. It must not end before. */
export function said(run: Run, words: string | RegExp): Promise<void> {
  return until(() => {
    if (run.stdout.search(words) >= 0) return true;
    assert.equal(run.child.exitCode ?? run.child.signalCode, null, `${run.stdout}\n${run.stderr}`);
    return false;
  }, `it says ${words}`);
}

/** Runs ./sd to its end. */
export async function runSd(args: readonly string[], how: How, input = "") {
  const run = sd(args, how);
  run.child.stdin.end(input);
  return { status: await ended(run), stdout: run.stdout, stderr: run.stderr };
}

/** ./sd start, or another command, until it serves: unless a port is given at one of its own, which nobody can take before. */
export async function started(how: How, args: readonly string[] = ["start"]): Promise<Run> {
  const run = sd(args, { ...how, port: how.port ?? 0 });
  await said(run, '"message":"listening"');
  run.port = Number(run.stdout.match(/"message":"listening","url":"http:[^"]*:(\d+)"/)?.[1] ?? run.port);
  await untilReady(`http://127.0.0.1:${run.port}`);
  return run;
}

/** Stops it with SIGTERM to ./sd alone. */
export async function stop(run: Run): Promise<void> {
  run.child.kill("SIGTERM");
  assert.equal(await ended(run), 0, run.stderr);
}

/** Processes of this data directory: those that were given it, and PostgreSQL's, which work in it. Linux only. */
export function processesOf(dataDir: string): string[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid) || pid === `${process.pid}`) return false;
    try {
      // A zombie has neither environment nor working directory.
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
export async function nothingRuns(dataDir: string): Promise<void> {
  assert.deepEqual(await embeddedStatus({ dataDir }), { running: false, version: "18" });
  assert.deepEqual(processesOf(dataDir), []);
  const log = await readFile(join(dataDir, "postgres/postgres.log"), "utf8");
  assert.match(log.trimEnd().split("\n").at(-1) ?? "", /database system is shut down$/);
}

/** One statement on an embedded database that runs; the first value of its first row. */
export async function firstOf(dataDir: string, statement: string): Promise<unknown> {
  const { url } = await startEmbedded({ dataDir });
  const [row] = await withConnection(url, (sql) => sql.unsafe(statement).values(), { role: "coupon_owner" });
  return row?.[0];
}

/** The program's path, or nothing. */
export function which(name: string): string | undefined {
  try {
    return execFileSync("sh", ["-c", 'command -v "$1"', "sh", name], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

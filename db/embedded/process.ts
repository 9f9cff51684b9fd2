/** The server's process: started by pg_ctl, found by its pid file and its command line, ended by its id. */
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readIfThere } from "./files.ts";
import type { Place } from "./place.ts";
import { freePort } from "./port.ts";
import { failure, lastLines, quoted, run } from "./run.ts";

/** How long a server may take to answer, crash recovery included. */
export const ANSWER_MS = 60_000;
const STOP_MS = 30_000;

type Server = { pid: number; port: number; alive: boolean };

/**
 * Starts the server. The answer is false when another one turned out to be running: a killed run's pg_ctl was still at it.
 * `stalePid` is what postmaster.pid says when no postmaster of ours has that id.
 */
export async function launch(
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
    // Words for a shell. -D is among them, and not an argument of pg_ctl, so that the server's command line is what
    // isPostmaster() looks for.
    let server = `-D ${quoted(place.cluster)} ${flags.join(" ")}`;
    const log = join(place.cluster, "postgres.log");
    const start = ["start", "-w", "-t", `${ANSWER_MS / 1000}`, "-s", "-l", log];
    if (stalePid !== undefined) {
      // After a crash another process of this user may have the pid in postmaster.pid, and PostgreSQL (18.4) would take it for a
      // server. It does not when that process is named as its "grandparent". It still checks for shared memory in use.
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

/** Ends the server of this cluster, if one runs. */
export async function halt(cluster: string): Promise<boolean> {
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
export async function readPidFile(cluster: string): Promise<Server | undefined> {
  const [pid, , , port] = (await readIfThere(join(cluster, "postmaster.pid"))).split("\n").map(Number);
  return pid && port ? { pid, port, alive: await isPostmaster(pid, cluster) } : undefined;
}

/** Tells by the command line, since ids are given out again. Every user may read it, and a zombie's is empty. */
async function isPostmaster(pid: number, cluster: string): Promise<boolean> {
  const command = await (process.platform === "linux"
    ? fs.readFile(`/proc/${pid}/cmdline`, "utf8")
    : run("/bin/ps", ["-ww", "-o", "command=", "-p", `${pid}`], {})
  ).catch(() => "");
  return command.replaceAll("\0", " ").includes(`postgres -D ${cluster} -c `);
}

/**
 * Whether the kernel is ending the process (PF_EXITING of the flags in proc(5)). Linux drops the command line first and closes
 * the sockets later: for a moment the port is taken by a process that no longer looks like a postmaster. A zombie has nothing
 * left to close.
 */
async function isExiting(pid: number): Promise<boolean> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const [state, , , , , , flags] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return state !== "Z" && (Number(flags) & 0x4) !== 0;
}

/** The log's path and, on the next lines, the last of what it says after `from`. */
export async function logTail(cluster: string, from = 0): Promise<string> {
  const path = join(cluster, "postgres.log");
  return `${path}\n${lastLines((await readIfThere(path)).slice(from))}`;
}

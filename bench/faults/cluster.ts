/** A PostgreSQL of a run's own, which may be killed, filled up and set back: never the one that others share. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, realpath, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Sql, withConnection } from "../../db/connect.ts";
import { startEmbedded, stopEmbedded } from "../../db/embedded/embedded.ts";
import { atEnd } from "../harness/cleanup.ts";
import { makeTemplate } from "../harness/scratch.ts";
import { run, signal } from "./processes.ts";

export interface Cluster {
  /** As the set-up login. */
  url: string;
  /** Where its data is. */
  directory: string;
  /** Mount points of its own disks; the data's and the WAL's. */
  disks: { data: string; wal: string } | undefined;
  asSuperuser<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** The postmaster first, then all that it started. */
  pids(): Promise<number[]>;
  kill(name: NodeJS.Signals): Promise<void>;
  /** Until it answers, whether it has to be started, recovers by itself or runs. */
  start(): Promise<void>;
  stop(): Promise<void>;
  close(): Promise<void>;
}

export interface ClusterOptions {
  settings?: Record<string, string>;
  /** Data and WAL each on a small disk (tmpfs) of so many MB. */
  disks?: { data: number; wal: number };
  /** The environment of the server, for LD_PRELOAD. */
  environment?: Record<string, string>;
}

const SETTINGS = { shared_buffers: "32MB", max_connections: "60", wal_keep_size: "512MB" };
/** Of the small disks: two or three segments of WAL, and no more of them kept. */
const SMALL = { ...SETTINGS, wal_keep_size: "0", min_wal_size: "32MB", max_wal_size: "48MB" };
/** Twice what startEmbedded() waits: a recovery syncs each file, and the disk may be others' too. */
const START_MS = 120_000;

/** Runs `work` on one connection to a PostgreSQL that may go down meanwhile. */
export function visit<T>(url: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  return withConnection(url, work, { fetchTypes: false });
}

export async function startCluster(given: ClusterOptions = {}): Promise<Cluster> {
  const parent = await realpath(await mkdtemp(join(tmpdir(), "faults-")));
  await chmod(parent, 0o755);
  const dataDir = join(parent, "data");
  const settings = { ...(given.disks ? SMALL : SETTINGS), ...given.settings };
  const disks = given.disks && { data: dataDir, wal: join(parent, "wal") };
  let postmaster: ChildProcess | undefined;
  const close = atEnd(async () => {
    await stopEmbedded({ dataDir });
    if (place.directory !== dataDir) await rm(place.directory, { recursive: true, force: true });
    for (const disk of Object.values(disks ?? {})) await run("umount", ["--lazy", disk]).catch(() => {});
    await rm(parent, { recursive: true, force: true });
  });
  const place = { url: "", directory: dataDir };
  try {
    for (const [name, disk] of Object.entries(disks ?? {}) as ["data" | "wal", string][]) {
      await run("mkdir", [disk]);
      await run("mount", ["-t", "tmpfs", "-o", `mode=0711,size=${given.disks?.[name]}m`, "faults", disk]);
    }
    Object.assign(place, await startEmbedded({ dataDir, settings }));
    const directory = join(place.directory, "postgres");
    if (disks) {
      await stopEmbedded({ dataDir });
      await run("mv", [join(directory, "pg_wal"), disks.wal]);
      await run("ln", ["-s", join(disks.wal, "pg_wal"), join(directory, "pg_wal")]);
    }
    const cluster: Cluster = {
      url: place.url,
      directory,
      disks,
      asSuperuser: async (work) => {
        const url = new URL(place.url);
        url.username = "postgres";
        url.password = (await readFile(join(dataDir, "superuser.password"), "utf8")).trim();
        url.pathname = "/postgres";
        return visit(url.href, work);
      },
      async pids() {
        const pid = Number((await readFile(join(directory, "postmaster.pid"), "utf8")).split("\n")[0]);
        const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
        return [pid, ...children.split(" ").filter(Boolean).map(Number)];
      },
      async kill(name) {
        signal(await cluster.pids(), name);
      },
      async start() {
        for (const until = performance.now() + START_MS; ; await sleep(50))
          try {
            if (given.environment) await startWith(given.environment);
            const { url } = await startEmbedded({ dataDir, settings });
            if (url !== place.url) throw new Error(`it was ${place.url}, and is ${url}`);
            return;
          } catch (error) {
            // What was killed holds its memory and its port for a moment.
            if (performance.now() > until) throw error;
          }
      },
      stop: async () => void (await stopEmbedded({ dataDir })),
      close,
    };

    /** As the last start was, in this environment. */
    async function startWith(environment: Record<string, string>): Promise<void> {
      if (postmaster && postmaster.exitCode === null && postmaster.signalCode === null) return;
      const { uid, gid } = await stat(directory);
      const [file = "", ...args] = [
        ...(await readFile(join(directory, "postmaster.opts"), "utf8")).matchAll(/"([^"]*)"|(\S+)/g),
      ].map(([, quoted, bare]) => (quoted ?? bare) as string);
      postmaster = spawn(file, args, {
        stdio: "ignore",
        cwd: "/",
        env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC", ...environment },
        ...(process.getuid?.() === 0 ? { uid, gid } : {}),
      });
      await untilAnswers();
    }

    async function untilAnswers(): Promise<void> {
      for (const until = performance.now() + START_MS; performance.now() < until; await sleep(50))
        if (
          await visit(place.url, (sql) => sql`select 1`).then(
            () => true,
            () => false,
          )
        )
          return;
    }

    if (given.environment) await stopEmbedded({ dataDir });
    await cluster.start();
    await makeTemplate(cluster.url);
    return cluster;
  } catch (error) {
    await close();
    throw error;
  }
}

/** Fills a disk to its last byte; the returned function gives the space back. */
export async function fill(directory: string): Promise<() => Promise<void>> {
  const ballast = join(directory, "ballast");
  const chunk = Buffer.alloc(1 << 20);
  for (let size = chunk.length; size >= 1; size = Math.floor(size / 16))
    for (;;) {
      const error = await writeFile(ballast, chunk.subarray(0, size), { flag: "a" }).catch((e) => e);
      if (error?.code === "ENOSPC") break;
      if (error) throw error;
    }
  return () => rm(ballast);
}

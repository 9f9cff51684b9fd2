/** A PostgreSQL of a run's own, which may be killed, filled up and set back: never the one that others share. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, realpath, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Sql, withConnection } from "../../db/connect.ts";
import { startEmbedded, stopEmbedded } from "../../db/embedded/embedded.ts";
import { succeeds } from "../../db/embedded/run.ts";
import { signal } from "../../server/cluster/processes.ts";
import { atEnd } from "../harness/cleanup.ts";
import { makeTemplate } from "../harness/scratch.ts";
import { type Disks, mount, moveWal, unmount } from "./disks.ts";

export interface Cluster {
  /** The URL of the set-up login. */
  url: string;
  /** The directory of its data. */
  directory: string;
  /** Mount points of its own disks. */
  disks: Disks | undefined;
  asSuperuser<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** The postmaster first, then all that it started. */
  pids(): Promise<number[]>;
  kill(name: NodeJS.Signals): Promise<void>;
  /** Waits until it answers. Starts it if it has ended. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export interface ClusterOptions {
  /** Data and WAL each on a small disk of so many MB. */
  disks?: Disks<number>;
  /** The environment of the server, for LD_PRELOAD. */
  environment?: Record<string, string>;
}

const SETTINGS = { shared_buffers: "32MB", max_connections: "100", wal_keep_size: "512MB" };
/** Settings for small disks: PostgreSQL keeps two or three segments of WAL. */
const SMALL = { ...SETTINGS, wal_keep_size: "0", min_wal_size: "32MB", max_wal_size: "48MB" };
/** Twice what startEmbedded() waits: a recovery syncs each file, and the disk may be others' too. */
const START_MS = 120_000;

/** Runs `work` on one connection to a PostgreSQL that may go down meanwhile. */
export function visit<T>(url: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  return withConnection(url, work, { fetchTypes: false });
}

export async function startCluster({ disks: sizes, environment }: ClusterOptions = {}): Promise<Cluster> {
  const parent = await realpath(await mkdtemp(join(tmpdir(), "faults-")));
  await chmod(parent, 0o755);
  const dataDir = join(parent, "data");
  const disks = sizes && { data: dataDir, wal: join(parent, "wal") };
  const settings = sizes ? SMALL : SETTINGS;
  let home = dataDir;
  const close = atEnd(async () => {
    await stopEmbedded({ dataDir });
    // Elsewhere, where PostgreSQL's user cannot reach the data directory.
    if (home !== dataDir) await rm(home, { recursive: true, force: true });
    if (disks) await unmount(disks);
    await rm(parent, { recursive: true, force: true });
  });
  try {
    if (disks) await mount(disks, sizes);
    const embedded = await startEmbedded({ dataDir, settings });
    home = embedded.directory;
    const directory = join(home, "postgres");
    if (disks || environment) await stopEmbedded({ dataDir });
    if (disks) await moveWal(directory, disks.wal);
    const { url } = embedded;
    const startIn = environment && createStarter(url, directory, environment);
    async function start(): Promise<void> {
      await startIn?.();
      const answered = await startEmbedded({ dataDir, settings });
      if (answered.url !== url) throw new Error(`it was ${url}, and is ${answered.url}`);
    }
    const cluster = createHandle({ url, dataDir, directory, disks, start, close });
    await cluster.start();
    await makeTemplate(url);
    return cluster;
  } catch (error) {
    await close();
    throw error;
  }
}

function createHandle({
  dataDir,
  start,
  ...place
}: Pick<Cluster, "url" | "directory" | "disks" | "start" | "close"> & { dataDir: string }): Cluster {
  const cluster: Cluster = {
    ...place,
    async asSuperuser(work) {
      const url = new URL(place.url);
      url.username = "postgres";
      url.password = (await readFile(join(dataDir, "superuser.password"), "utf8")).trim();
      url.pathname = "/postgres";
      return visit(url.href, work);
    },
    async pids() {
      const [pid] = (await readFile(join(place.directory, "postmaster.pid"), "utf8")).split("\n").map(Number);
      const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
      return [pid as number, ...children.split(" ").filter(Boolean).map(Number)];
    },
    async kill(name) {
      signal(await cluster.pids(), name);
    },
    async start() {
      for (const until = performance.now() + START_MS; ; await sleep(50))
        try {
          return await start();
        } catch (error) {
          // What was killed holds its memory and its port for a moment.
          if (performance.now() > until) throw error;
        }
    },
  };
  return cluster;
}

/** Starts the postmaster as the last start did, but in this environment, unless the one that it started still runs. */
function createStarter(
  url: string,
  directory: string,
  environment: Record<string, string>,
): () => Promise<void> {
  let postmaster: ChildProcess | undefined;
  return async () => {
    if (postmaster && postmaster.exitCode === null && postmaster.signalCode === null) return;
    const { uid, gid } = await stat(directory);
    const options = await readFile(join(directory, "postmaster.opts"), "utf8");
    const words = [...options.matchAll(/"([^"]*)"|(\S+)/g)];
    const [file = "", ...args] = words.map(([, quoted, bare]) => (quoted ?? bare) as string);
    postmaster = spawn(file, args, {
      stdio: "ignore",
      cwd: "/",
      env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC", ...environment },
      ...(process.getuid?.() === 0 ? { uid, gid } : {}),
    });
    for (const until = performance.now() + START_MS; performance.now() < until; await sleep(50))
      if (await succeeds(visit(url, (sql) => sql`select 1`))) return;
  };
}

/**
 * The embedded PostgreSQL: started, stopped, removed and asked about. It is for trying out, developing and testing on
 * loopback; production gives DATABASE_URL and never comes here.
 *
 * The checkout's data directory holds:
 *
 *     postgres/            the cluster, with postgres.log
 *     superuser.password   opens the role `postgres`, which never leaves this file
 *     setup.password       opens `coupon_setup`, the role that callers get
 *     port                 the port of the last start, taken again while it is free
 */
import { existsSync } from "node:fs";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { withConnection } from "../connect.ts";
import { findBinaries } from "./binaries.ts";
import { bootstrap, clusterVersion, createCluster, requireVersion } from "./cluster.ts";
import { makeDirectory, password, readIfThere } from "./files.ts";
import { locked } from "./lock.ts";
import { existingPlace, findPlace, isRoot } from "./place.ts";
import { ANSWER_MS, halt, launch, logTail, readPidFile } from "./process.ts";
import { errorCode, failure } from "./run.ts";

export interface Embedded {
  /** postgres:// URL of the non-superuser set-up role, database `coupon`, with ?sslmode=disable */
  url: string;
  /** true when this call started the server, false when it was already running here and was adopted */
  started: boolean;
  /** where the cluster (and a copy of the binaries, if one was needed) really lives */
  directory: string;
}

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
    await makeDirectory(options.dataDir, 0o700);
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
          const url = setupUrl(setup, server.port);
          const refusal = await refusalOf(url);
          if (refusal === "") return { url, started, directory: place.home };
          if (Date.now() > deadline)
            throw new Error(
              `PostgreSQL on port ${server.port} does not let us in (${refusal}): start again later, ` +
                `or remove the reason given in ${await logTail(place.cluster)}`,
            );
          if (LACKING.includes(refusal)) await bootstrap(place, server.port, setup);
        }
      } catch (error) {
        if (started) await halt(place.cluster);
        throw error;
      }
    });
  });
}

/** SQLSTATEs of a wrong password or no such role, no login, no such database. Other refusals pass: recovery, shutdown. */
const LACKING = ["28P01", "28000", "3D000"];

/** The code with which a connection is refused, "" when it is not. */
function refusalOf(url: string): Promise<string> {
  return withConnection(url, (sql) => sql`select 1`, { fetchTypes: false }).then(() => "", errorCode);
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
    // What a link leads to, on another disk say, is somebody's: without it the link would lead nowhere, and nothing could be made there.
    const isLink = (await fs.lstat(options.dataDir)).isSymbolicLink();
    return locked(await fs.realpath(options.dataDir), async (root) => {
      const { fallback, cluster } = existingPlace(root);
      await halt(cluster);
      // In this order the cluster goes before its passwords: without them it would only be in the way.
      for (const directory of isRoot() ? [fallback, root] : [root]) {
        const names = existsSync(directory) ? (await fs.readdir(directory)).sort() : [];
        for (const name of names.filter((each) => ours.test(each)))
          await fs.rm(join(directory, name), { recursive: true, force: true });
        if (directory === root && isLink) continue;
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

const setupUrl = (password: string, port: number) =>
  `postgres://coupon_setup:${password}@127.0.0.1:${port}/coupon?sslmode=disable`;

/**
 * The programs that are connected to the server on `dataDir`, as they call themselves ("coupon-server 4711"). None where it does not run,
 * or does not let us in. Set-up's own sessions are left out: one that a command has just ended may still be leaving.
 */
export async function embeddedUsers(options: { dataDir: string }): Promise<string[]> {
  const { running, port } = await embeddedStatus(options);
  if (!running || port === undefined) return [];
  const setup = await readIfThere(join(options.dataDir, "setup.password"));
  const url = setupUrl(setup, port);
  const read = withConnection(
    url,
    (sql) => sql`
      select distinct coalesce(nullif(a.application_name, ''), a.usename) as program
      from pg_stat_activity a
      where a.datname is not null and a.usename is not null and a.application_name <> 'coupon-setup'
      order by program`,
  );
  return read.then(
    (rows) => rows.map(({ program }) => program),
    () => [],
  );
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

/** Faults of the disks under PostgreSQL. */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { succeeds } from "../../../db/embedded/run.ts";
import type { Cluster } from "../cluster.ts";
import { fill } from "../disks.ts";
import type { Fault } from "../fault.ts";
import { has } from "../processes.ts";
import { untilSeen } from "../seen.ts";
import { isRefused } from "./sessions.ts";

const SMALL_DISKS = { data: 320, wal: 128 };

export const disks: readonly Fault[] = [
  {
    name: "data disk full",
    about: "no byte left on the disk of the data, then space again",
    seen: "a statement of ours is refused with 53100",
    cluster: { disks: SMALL_DISKS },
    needs: needsMount,
    async strike({ cluster, hold }) {
      const free = await fill(cluster.disks?.data as string);
      try {
        await untilSeen("no space left", () =>
          isRefused(
            cluster.asSuperuser((sql) => sql`create temp table faults as select repeat('x', 1000) as x`),
            "53100",
          ),
        );
        await hold(500, 3_000);
      } finally {
        await free();
      }
      await cluster.start();
    },
  },
  {
    name: "WAL disk full",
    about: "no byte left on the disk of the WAL, so that PostgreSQL panics; then space again, and a restart",
    seen: "PostgreSQL's log tells of a PANIC",
    cluster: { disks: SMALL_DISKS },
    needs: needsMount,
    async strike({ cluster, hold }) {
      const logged = await panics(cluster);
      const free = await fill(cluster.disks?.wal as string);
      try {
        await useUpSegments(cluster);
        await untilSeen("a PANIC", async () => (await panics(cluster)) > logged);
        await hold(0, 1_000);
      } finally {
        await free();
      }
      await restart(cluster);
    },
  },
  {
    name: "fsync error",
    about:
      "fsync and fdatasync of all of PostgreSQL answer EIO (by strace), so that it panics; then it is restarted",
    seen: "PostgreSQL's log tells of a PANIC",
    cluster: "plain",
    needs: async () => ((await has("strace", "-V")) ? undefined : "strace"),
    async strike({ cluster, hold }) {
      const logged = await panics(cluster);
      const end = failSyncs(await cluster.pids());
      await untilSeen("a PANIC", async () => {
        // A commit of our own, in case nobody else has one.
        await cluster
          .asSuperuser((sql) => sql`select pg_logical_emit_message(true, 'faults', '')`)
          .catch(() => {});
        return (await panics(cluster)) > logged;
      });
      await hold(0, 500);
      await end();
      await restart(cluster);
    },
  },
];

/** Writes until the WAL segments that are there already are used up. */
async function useUpSegments({ asSuperuser }: Cluster): Promise<void> {
  const isUp = () =>
    succeeds(
      asSuperuser(
        (sql) => sql`select pg_logical_emit_message(false, 'faults', repeat('x', 1000000)), pg_switch_wal()`,
      ),
    );
  for (let i = 0; i < 100 && (await isUp()); i++);
}

/** Makes fsync and fdatasync of these processes, and of those that they start, fail; until the returned function is called. */
function failSyncs(pids: readonly number[]): () => Promise<void> {
  const traced = pids.flatMap((pid) => ["-p", String(pid)]);
  const injected = ["-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"];
  const strace = spawn("strace", ["-qq", "-f", "-o", "/dev/null", ...traced, ...injected], {
    stdio: "ignore",
  });
  const ended = new Promise<void>((resolve) => void strace.once("exit", () => resolve()));
  return () => {
    strace.kill("SIGKILL");
    return ended;
  };
}

/** How often its log tells of a panic. */
async function panics({ directory }: Cluster): Promise<number> {
  return (await readFile(join(directory, "postgres.log"), "utf8")).split("PANIC:").length - 1;
}

/**
 * As an operator does after a panic. PostgreSQL mostly restarts by itself, or ends. When its recovery fails too, the postmaster
 * of PostgreSQL 18.4 may stay for ever without a startup process, and refuse everybody with 57P03.
 */
async function restart({ kill, start }: Cluster): Promise<void> {
  // Without a postmaster.pid it has ended.
  await kill("SIGKILL").catch(() => {});
  await start();
}

async function needsMount(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "root, to mount a small disk";
  const mayMount = await has("unshare", "--mount", "mount", "-t", "tmpfs", "faults", "/tmp");
  return mayMount ? undefined : "the right to mount a small disk";
}

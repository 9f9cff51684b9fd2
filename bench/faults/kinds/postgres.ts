/** Faults of PostgreSQL's processes. */
import type { Sql } from "postgres";
import { signal } from "../../../server/cluster/processes.ts";
import type { Cluster } from "../cluster.ts";
import type { Fault } from "../fault.ts";
import { standStill } from "../processes.ts";
import { untilSeen } from "../seen.ts";

export const postgres: readonly Fault[] = [
  {
    name: "backend killed",
    about: "kill -9 of one backend: PostgreSQL ends all others and recovers",
    seen: "all processes that were there before, but the postmaster, have ended",
    cluster: "plain",
    async strike({ cluster, random }) {
      const pids = await cluster.asSuperuser((sql) => backends(sql));
      const [, ...before] = await cluster.pids();
      process.kill(pids[Math.floor(random() * pids.length)] as number, "SIGKILL");
      await untilSeen("all backends ended", async () => {
        const now = await cluster.pids();
        return !before.some((pid) => now.includes(pid));
      });
      await cluster.start();
    },
  },
  {
    name: "PostgreSQL killed",
    about: "kill -9 of the whole PostgreSQL",
    seen: "another postmaster answers",
    cluster: "plain",
    async strike({ cluster, hold }) {
      await anotherPostmaster(cluster, async () => {
        await cluster.kill("SIGKILL");
        await hold(0, 2_000);
      });
    },
  },
  {
    name: "immediate shutdown",
    about: "SIGQUIT of PostgreSQL, and again as soon as it is up: three times",
    seen: "another postmaster answers, each time",
    cluster: "plain",
    async strike({ cluster, hold }) {
      for (let i = 0; i < 3; i++) {
        await anotherPostmaster(cluster, async () => {
          signal((await cluster.pids()).slice(0, 1), "SIGQUIT");
        });
        await hold(0, 400);
      }
    },
  },
  {
    name: "PostgreSQL stopped",
    about: "SIGSTOP of the whole PostgreSQL, and SIGCONT",
    seen: "the kernel says that all its processes are stopped",
    cluster: "plain",
    async strike({ cluster, hold }) {
      await standStill(await cluster.pids(), () => hold(200, 8_000));
    },
  },
];

/** Strikes PostgreSQL down, and starts it again. Until it has ended, the old one may still answer. */
export async function anotherPostmaster(
  { pids, start }: Cluster,
  strike: () => Promise<void>,
): Promise<void> {
  const [before] = await pids();
  await strike();
  await untilSeen("another postmaster", async () => {
    await start();
    const [now] = await pids().catch(() => [before]);
    return now !== before;
  });
}

/** Process ids of the sessions of a login. */
export async function backends(sql: Sql, login = "coupon_api"): Promise<number[]> {
  const sessions = await sql`
    select pid from pg_stat_activity where usename = ${login} and backend_type = 'client backend'`;
  return sessions.map((row) => row["pid"]);
}

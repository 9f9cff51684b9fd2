/** Faults that others in the database bring about. */
import { isDeepStrictEqual } from "node:util";
import postgres from "postgres";
import { signal } from "../../../server/cluster/processes.ts";
import { visit } from "../cluster.ts";
import type { Fault } from "../fault.ts";
import { untilSeen } from "../seen.ts";
import { backends } from "./postgres.ts";

export const sessions: readonly Fault[] = [
  {
    name: "no connection left",
    about: "others use up max_connections when the server's own were lost",
    seen: "a connection of the server's login is refused with 53300, and the server has none",
    cluster: "plain",
    strike: ({ cluster, database, hold }) =>
      cluster.asSuperuser(async (superuser) => {
        // It connects by its first query, and none is let in later.
        await superuser`select 1`;
        const others = postgres(cluster.url, { max: 100, backoff: () => 0.01, fetch_types: false });
        let isOver = false;
        try {
          // Each sleeps on a connection of its own; those that find none ask until they get one of the server's.
          for (let i = 0; i < 100; i++)
            void (async () => {
              while (!isOver) await others`select pg_sleep(60)`.catch(() => {});
            })();
          await untilSeen("a server without a connection", async () => {
            const pids = await backends(superuser);
            signal(pids, "SIGTERM");
            const visited = visit(database.apiUrl, (sql) => sql`select 1`);
            return (await isRefused(visited, "53300")) && pids.length === 0;
          });
          await hold(500, 3_000);
        } finally {
          isOver = true;
          await others.end({ timeout: 0 });
        }
        // Their sleep ends with their process.
        signal(await backends(superuser, "coupon_setup"), "SIGTERM");
      }),
  },
  {
    name: "lock held",
    about: "a session locks the coupons' rows, for longer than the server waits for a lock",
    seen: "a transaction waits for it",
    async strike({ database: { owner }, hold }) {
      const session = await owner.reserve();
      try {
        await session`begin`;
        await session`select from coupon.coupons for update`;
        await untilSeen("one who waits for it", async () => {
          const waiting = await session`
            select from pg_locks where not granted and transactionid = pg_current_xact_id()::xid`;
          return waiting.length > 0;
        });
        await hold(1_000, 5_000);
        await session`rollback`;
      } finally {
        session.release();
      }
    },
  },
  {
    name: "idle transaction",
    about: "a transaction with a snapshot and a row of its own stays open",
    seen: "it is the same transaction at the end",
    async strike({ database: { admin }, hold }) {
      const session = await admin.reserve();
      try {
        await session`begin isolation level repeatable read`;
        await session`select import_users(array[9007199254740000], array['Idle'])`;
        const [begun] = await session`select pg_current_xact_id()`;
        await hold(2_000, 10_000);
        const [still] = await session`select pg_current_xact_id()`;
        if (!isDeepStrictEqual(still, begun)) throw new Error("the transaction did not stay open");
        await session`rollback`;
      } finally {
        session.release();
      }
    },
  },
];

export function isRefused(work: Promise<unknown>, sqlstate: string): Promise<boolean> {
  return work.then(
    () => false,
    ({ code }: { code?: string }) => code === sqlstate,
  );
}

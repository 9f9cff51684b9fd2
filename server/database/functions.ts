/** One method for each function of the database. The server has no other SQL. */
import { standbyOf, targetOf } from "../../db/target.ts";
import { issuing, keeping, operating, using } from "./commands.ts";
import { grouped, groupLists } from "./groups.ts";
import { keyed } from "./keys.ts";
import { planned } from "./plan.ts";
import type { Call } from "./pool.ts";
import { openPools } from "./pools.ts";
import { ofUsers, onOffer, reports } from "./reads.ts";
import { arrayOf, only } from "./rows.ts";
import { COMMITS_THAT_WAIT } from "./session.ts";
import { createStandby, type Standby } from "./standby.ts";
import { subjected } from "./subjects.ts";
import { hooked, sending } from "./webhooks.ts";

/** Versions of migrations, "20261128000001" for example: the newest one applied, and the one that a server must know. */
export interface SchemaVersion {
  migration: string | null;
  oldest_server: string;
  /** Which of the functions that the server needs are not there, or not its login's to call. */
  missing: string[];
  /** Commits of the server's login that wait for a standby: the same text is the same commit. */
  waiting: string[];
}

export type Db = ReturnType<typeof connectDb>;
export type Pools = Db["pools"];

interface Options {
  callMs?: number | undefined;
  /** Where reads are cheap: standbys of the same database. */
  readUrl?: string | undefined;
}

/** Of the connections for reads, those that operators' reports may take: a user's wallet stands behind none of them. */
const REPORTS = 2;

export function connectDb(url: string, { callMs, readUrl }: Options = {}) {
  const target = targetOf(url);
  const { pools, figures, commitWaitsFor, onLost, close } = openPools(target, callMs);
  const { issue, lookup, lease, use, operate, offer, report: read, ready, webhook } = pools;
  const report = read.atMost(REPORTS);
  const standby =
    readUrl === undefined ? undefined : createStandby(standbyOf(readUrl, target), ready, callMs);
  return {
    ...issuing(issue, lookup, lease),
    ...using(use),
    ...operating(operate),
    ...keeping(operate),
    ...planned(operate),
    ...grouped(operate),
    ...hooked(operate, report),
    ...sending(webhook),
    ...keyed(operate, report, offer),
    ...subjected(lookup, operate, report),
    ...readsOf({ offer, read, report }, standby),
    /** Proves each time that the database takes writes: behind a pooler, another one may answer by now. */
    schemaVersion: (needed: readonly string[] = []) => {
      ready.doubt();
      return ready<SchemaVersion>(
        (sql) => sql`
          select v.migration, v.oldest_server, (
            select coalesce(json_agg(f), '[]')
            from unnest(${arrayOf(needed)}::text[]) f
            where has_function_privilege(to_regprocedure(f), 'execute') is not true
          ) as missing, (
            select coalesce(json_agg(w.wait), '[]') from (${sql.unsafe(COMMITS_THAT_WAIT)}) w
          ) as waiting
          from public.schema_version() v
        `,
      ).then(only);
    },
    pools: figures,
    commitWaitsFor,
    onLost,
    standby,
    close: (ms: number) => Promise.all([close(ms), standby?.close(ms)]),
  };
}

/** The reads, and the same from the primary as `fresh`. */
function readsOf(calls: Record<"offer" | "read" | "report", Call>, standby: Standby | undefined) {
  const from = (by: (call: Call) => Call) => ({
    ...onOffer(by(calls.offer)),
    ...ofUsers(by(calls.read)),
    ...reports(by(calls.report)),
    ...groupLists(by(calls.report)),
  });
  const fresh = from((call) => call);
  if (standby === undefined) return { ...fresh, fresh };
  const reads = from(standby.before);
  return {
    ...reads,
    // What is not there may have been made a moment ago.
    findCoupon: async (key: Parameters<typeof reads.findCoupon>[0]) =>
      (await reads.findCoupon(key)) ?? fresh.findCoupon(key),
    couponStats: async (couponId: number) =>
      (await reads.couponStats(couponId)) ?? fresh.couponStats(couponId),
    // Their order rests on transactions that are open on the primary, which a standby does not know alike.
    events: fresh.events,
    fresh,
  };
}

/** One method for each function of the database. The server has no other SQL. */
import { issuing, keeping, operating, using } from "./commands.ts";
import { grouped } from "./groups.ts";
import { planned } from "./plan.ts";
import { openPools } from "./pool.ts";
import { onOffer, reports } from "./reads.ts";
import { arrayOf, only } from "./rows.ts";
import { subjected } from "./subjects.ts";
import { hooked, sending } from "./webhooks.ts";

/** Versions of migrations, "20261128000001" for example: the newest one applied, and the one that a server must know. */
export interface SchemaVersion {
  migration: string | null;
  oldest_server: string;
  /** Which of the functions that the server needs are not there, or not its login's to call. */
  missing: string[];
}

export type Db = ReturnType<typeof connectDb>;
export type Pools = Db["pools"];

export function connectDb(url: string, options: { callMs?: number } = {}) {
  const { pools, figures, commitWaitsFor, onLost, close } = openPools(url, options.callMs);
  const { issue, lookup, lease, use, operate, offer, report, ready, webhook } = pools;
  return {
    ...issuing(issue, lookup, lease),
    ...using(use),
    ...operating(operate),
    ...keeping(operate),
    ...planned(operate),
    ...grouped(operate, report),
    ...hooked(operate, report),
    ...sending(webhook),
    ...subjected(lookup, operate, report),
    ...onOffer(offer),
    ...reports(report),
    /** Proves each time that the database takes writes: behind a pooler, another one may answer by now. */
    schemaVersion: (needed: readonly string[] = []) => {
      ready.doubt();
      return ready<SchemaVersion>(
        (sql) => sql`
          select v.migration, v.oldest_server, (
            select coalesce(json_agg(f), '[]')
            from unnest(${arrayOf(needed)}::text[]) f
            where has_function_privilege(to_regprocedure(f), 'execute') is not true
          ) as missing
          from public.schema_version() v
        `,
      ).then(only);
    },
    pools: figures,
    commitWaitsFor,
    onLost,
    close,
  };
}

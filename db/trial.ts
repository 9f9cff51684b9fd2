/** Set-up on trial: what it would do is done in its turn, in a transaction that is rolled back. Nothing is changed. */
import type { Sql } from "./connect.ts";
import { createPatience } from "./patience.ts";
import { amongOthers } from "./roles.ts";
import { SETUP_LOCK } from "./setup.ts";
import type { Target } from "./target.ts";

/** Runs `work` once it is its turn. A lock that it does not get is one sentence that says who holds it. */
export async function onTrial<T>(sql: Sql, target: Target, work: () => Promise<T>): Promise<T> {
  const [backend] = await sql`select pg_backend_pid() as pid`;
  const once = createPatience(target, backend?.["pid"], () => {}, 1);
  return amongOthers(async () => {
    // Also where sessions take no writes by default, of which the doctor tells.
    await sql`begin read write`;
    try {
      await sql`set local lock_timeout = '2s'`;
      await once("another set-up is at work", () => sql`select pg_advisory_xact_lock(${SETUP_LOCK}::bigint)`);
      return await once("the comparison", work);
    } finally {
      await sql`rollback`;
    }
  });
}

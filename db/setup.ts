/** Makes a database ready, from whatever state: checks rights, makes roles, migrates, loads functions, opens logins. */
import { fileURLToPath } from "node:url";
import { asOwner, withSession } from "./connect.ts";
import { runManifest } from "./functions.ts";
import { primaryOf } from "./hosts.ts";
import { type LeftLogins, leftOf, loginsOf, openLogins } from "./logins.ts";
import { migrate } from "./migrations.ts";
import { ATTEMPTS, createPatience, LOCK_MS } from "./patience.ts";
import { type Sources, standingOf, whyOnlyServe } from "./release.ts";
import { requireSchemas } from "./renames.ts";
import { amongOthers, checkRights, makeRoles, requireWrites } from "./roles.ts";
import { advanceSequences } from "./sequences.ts";
import type { Target } from "./target.ts";

/** Where a release's migrations and functions are; tests give others. */
export const SOURCES: Sources = {
  migrations: fileURLToPath(new URL("./migrations", import.meta.url)),
  functions: fileURLToPath(new URL("../sql", import.meta.url)),
};

/** Held by the set-up session; any number that nothing else on the database locks. */
export const SETUP_LOCK = "4850179452613153";

/** Other set-ups before this one may take as long for each of the attempts: half a minute in all. Nobody but set-ups waits here. */
const TURN_MS = 3_000;

export interface Options extends Sources {
  /** Gives coupon_api and coupon_admin the passwords of this target, whoever gave them theirs. */
  newPasswords: boolean;
  /** How often a step is tried for which locks are missing. */
  attempts: number;
}

/** What set-up leaves as it is. */
export interface Left extends LeftLogins {
  /** Why it left all: the database is of a newer release, which this one may serve. */
  onlyServes?: string;
}

/**
 * Sets up the primary, as often as you like; set-ups of one database at the same time take turns. Afterwards `target.as(…)` can log in, unless
 * another login gave them their passwords, or PostgreSQL keeps them out. `log` gets a line for each step.
 */
export async function setUp(
  given: Target,
  log: (line: string) => void = () => {},
  options: Partial<Options> = {},
): Promise<Left> {
  const target = await primaryOf(given);
  const { migrations, functions, newPasswords = false, attempts = ATTEMPTS } = { ...SOURCES, ...options };
  return withSession(target, async (sql) => {
    await checkRights(sql);
    await requireWrites(sql);
    await requireSchemas(sql);
    const [backend] = await sql`select pg_backend_pid() as pid`;
    const patiently = createPatience(target, backend?.["pid"], log, attempts);
    const inTurn = createPatience(target, backend?.["pid"], log, 1);
    await sql`select set_config('lock_timeout', ${`${attempts * TURN_MS}`}, false)`;
    await inTurn("another set-up is at work", () => sql`select pg_advisory_lock(${SETUP_LOCK}::bigint)`);
    await sql`select set_config('lock_timeout', ${`${LOCK_MS}`}, false)`;
    const sources = { migrations, functions };
    const standing = () => patiently("migrations", () => asOwner(sql, (owner) => standingOf(owner, sources)));
    const [owner] = await sql`select from pg_roles where rolname = 'coupon_owner'`;
    const onlyServes = owner && whyOnlyServe(await standing());
    if (onlyServes) return { onlyServes, ...leftOf(await loginsOf(sql, target)) };
    log("roles");
    await patiently("roles", () => amongOthers(() => makeRoles(sql, functions)));
    log("migrations");
    const { pending } = await standing();
    if (pending.length > 0) await migrate(sql, target, migrations, pending, patiently, log);
    log("functions");
    // All in one transaction: callers see the old ones or the new ones.
    await patiently("functions", () => asOwner(sql, (owner) => runManifest(owner, functions)));
    for (const { sequence, highest } of await patiently("sequences", () => asOwner(sql, advanceSequences)))
      log(`sequence ${sequence} goes on after ${highest}`);
    return patiently("logins", () => openLogins(sql, target, newPasswords, log));
  });
}

/** The database that a command works on: DATABASE_URL's, or else the embedded one. */
import { type Sql, withConnection } from "../../db/connect.ts";
import { embeddedStatus, startEmbedded, stopEmbedded } from "../../db/embedded/embedded.ts";
import { type Target, targetOf } from "../../db/target.ts";
import type { Env } from "../env.ts";
import { remark } from "./print.ts";
import { heedSignals, untilSignal } from "./signals.ts";

/** The database of the environment. The embedded one is started if it does not run. */
export async function openDatabase(
  env: Env,
): Promise<{ target: Target; started: boolean; isEmbedded: boolean }> {
  if (env.DATABASE_URL) return { target: targetOf(env.DATABASE_URL), started: false, isEmbedded: false };
  // The embedded database would be another one than the server's.
  if (env.API_DATABASE_URL)
    throw new Error(
      "API_DATABASE_URL without DATABASE_URL is for ./sd start, which then only serves: this command needs DATABASE_URL",
    );
  const { url, started } = await startEmbedded({ dataDir: env.DATA_DIR, log: remark });
  return { target: targetOf(url), started, isEmbedded: true };
}

/** Runs `work` on the database. Afterwards, and also after Ctrl-C, the database runs or is stopped as it was before. */
export async function withDatabase<T>(
  env: Env,
  work: (target: Target, isEmbedded: boolean) => Promise<T>,
): Promise<T> {
  heedSignals();
  const { target, started, isEmbedded } = await openDatabase(env);
  try {
    return await untilSignal(() => work(target, isEmbedded));
  } finally {
    if (started) await stopEmbedded({ dataDir: env.DATA_DIR });
  }
}

/** Whether there is a database to work on: the embedded one is made when it is first opened. */
export async function isMade(env: Env): Promise<boolean> {
  if (env.DATABASE_URL || env.API_DATABASE_URL) return true;
  return (await embeddedStatus({ dataDir: env.DATA_DIR })).version !== undefined;
}

/** For commands that make nothing themselves. Where the embedded database never was, one sentence says so. */
export async function withExisting<T>(env: Env, work: (target: Target) => Promise<T>): Promise<T> {
  if (!(await isMade(env)))
    throw new Error(`nothing is set up in ${env.DATA_DIR}: run ./sd start, or give DATABASE_URL`);
  return withDatabase(env, work);
}

/** For those that use what set-up made, too. Where set-up never was, one sentence says so. */
export function withSetUp<T>(env: Env, work: (target: Target) => Promise<T>): Promise<T> {
  return withExisting(env, async (target) => {
    const [now] = await withConnection(
      target,
      (sql) => sql`
        select to_regrole('coupon_admin') is not null and exists (
          select from pg_proc p where p.proowner = to_regrole('coupon_owner')) as is_set_up`,
    );
    if (!now?.["is_set_up"])
      throw new Error(`nothing is set up in database ${target.database} at ${target.host}: run ./sd migrate`);
    return work(target);
  });
}

/** The same by one session, which acts as coupon_admin. */
export function asAdmin<T>(env: Env, work: (sql: Sql) => Promise<T>): Promise<T> {
  return withSetUp(env, (target) => withConnection(target, work, { role: "coupon_admin" }));
}

/** What PostgreSQL answers where something of ours is missing, or somebody else's. */
const DIFFERING = ["3F000", "42501", "42703", "42704", "42725", "42883", "42P01"];

/** In words for an operator. */
export function explained(error: Error): string {
  const { code = "" } = (error.cause ?? error) as { code?: string };
  return DIFFERING.includes(code) ? `${error.message}: ./sd doctor says what differs` : error.message;
}

/** The database that a command works on: DATABASE_URL's, or else the embedded one. */
import { startEmbedded, stopEmbedded } from "../../db/embedded/embedded.ts";
import { type Target, targetOf } from "../../db/target.ts";
import type { Env } from "../env.ts";
import { say } from "./print.ts";
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
  const { url, started } = await startEmbedded({ dataDir: env.DATA_DIR, log: say });
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

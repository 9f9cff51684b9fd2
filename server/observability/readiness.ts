/** Whether this server and its database can serve together: load balancers and roll-outs ask this. */
import { readdir, readFile } from "node:fs/promises";
import type { Failure } from "../api/failures.ts";
import { type Clock, systemClock } from "../clock.ts";
import { DatabaseError, NOT_CALLABLE, reasonOf } from "../database/errors.ts";
import type { Db, SchemaVersion } from "../database/functions.ts";
import { Problem } from "../http/problem.ts";
import { createShared } from "../http/shared.ts";

/** Load balancers, and Kubernetes where it is not told otherwise, wait a second for an answer: it has to be there by then. */
export const ANSWER_MS = 800;

/** A commit that is seen to wait for a standby for so long waits for one that does not answer, ms. */
const STALLED_MS = 300;

const MIGRATIONS = new URL("../../db/migrations/", import.meta.url);

/** The version of the newest migration of this release. */
export async function newestMigration(directory: URL | string = MIGRATIONS): Promise<string> {
  const names = (await readdir(directory)).filter((name) => name.endsWith(".sql")).sort();
  return names.at(-1)?.split("_")[0] ?? "";
}

/** The functions that this release grants to the server's login, as "public.issue_coupons(bigint, bigint[])". */
export async function neededFunctions(): Promise<string[]> {
  const grants = await readFile(new URL("../../sql/grants.sql", import.meta.url), "utf8");
  const given = grants.matchAll(/^grant execute on function\n([^;]*?)\nto [^;]*\bcoupon_api\b/gm);
  return [...given].flatMap(([, list = ""]) => list.split(",\n").map((each) => each.trim()));
}

/**
 * Throws a 503 with the reason: draining · database_unavailable ·
 * writes_stalled · migrations_pending · server_too_old. It has a deadline of ANSWER_MS.
 * During a roll-out the database is newer than this server; that is fine while oldest_server allows it.
 */
export function createReadiness({
  db,
  isDraining,
  newestMigration,
  needed,
  answerMs = ANSWER_MS,
  clock = systemClock,
}: {
  db: Pick<Db, "schemaVersion">;
  isDraining: () => boolean;
  newestMigration: string;
  needed: readonly string[];
  answerMs?: number | undefined;
  clock?: Pick<Clock, "after" | "now">;
}): () => Promise<void> {
  // Anybody may ask, any number of times: all of them share one query at a time.
  const schemaVersion = createShared(() => db.schemaVersion(needed));
  /** The commits that wait for a standby, each with the instant at which it was seen first. */
  let waits = new Map<string, number>();

  function isStalled(waiting: readonly string[]): boolean {
    const now = clock.now();
    waits = new Map(waiting.map((wait) => [wait, waits.get(wait) ?? now]));
    return [...waits.values()].some((since) => now - since >= STALLED_MS);
  }

  return async () => {
    if (isDraining()) throw notReady("draining");
    const { migration, oldest_server, missing, waiting } = await within(
      answerMs,
      schemaVersion(),
      clock,
    ).catch((error) => {
      throw explained(error, newestMigration);
    });
    if (migration === null || migration < newestMigration) throw pending(migration, newestMigration);
    if (oldest_server > newestMigration)
      throw notReady(
        "server_too_old",
        `The database's functions need a server that knows migration ${oldest_server}; this one knows them up to ` +
          `${newestMigration}. Start the newer release.`,
      );
    if (missing.length > 0)
      throw notReady(
        "migrations_pending",
        `The server's login cannot call ${missing.join(", ")}: run ./sd migrate.`,
      );
    if (isStalled(waiting)) throw notReady("writes_stalled");
  };
}

function within(
  ms: number,
  answer: Promise<SchemaVersion>,
  { after }: Pick<Clock, "after">,
): Promise<SchemaVersion> {
  return new Promise((resolve, reject) => {
    const cancel = after(ms, () =>
      reject(new DatabaseError("unknown", "", `no answer from the database in ${ms} ms`)),
    );
    answer.then(resolve, reject).finally(cancel);
  });
}

/** Turns a failed query into the reason why this server is not ready. Defects and database_unavailable stay as they are. */
function explained(error: unknown, newestMigration: string): unknown {
  if (!(error instanceof DatabaseError)) return error;
  if (error.kind === "unavailable") return notReady("database_unavailable", reasonOf(error), error);
  if (error.kind === "stalled") return notReady("writes_stalled", undefined, error);
  if (NOT_CALLABLE.includes(error.sqlstate)) return pending(null, newestMigration);
  if (error.kind === "defect") return error;
  return notReady("database_unavailable", "The database did not answer in time.", error);
}

function pending(migration: string | null, newestMigration: string): Problem {
  const stands = migration === null ? "is not set up" : `stands at migration ${migration}`;
  return notReady(
    "migrations_pending",
    `The database ${stands}, and this server needs ${newestMigration}: run ./sd migrate.`,
  );
}

function notReady(outcome: Failure, detail?: string, cause?: unknown): Problem {
  return new Problem(outcome, { retryAfter: 1, ...(detail === undefined ? {} : { detail }) }, cause);
}

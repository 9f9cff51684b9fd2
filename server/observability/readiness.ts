/** Whether this server and its database can serve together: what a load balancer and a roll-out ask. */
import { readdir } from "node:fs/promises";
import type { Failure } from "../api/failures.ts";
import { DatabaseError, UNDEFINED_FUNCTION } from "../database/errors.ts";
import type { Db, SchemaVersion } from "../database/functions.ts";
import { Problem } from "../http/problem.ts";
import { createShared } from "../http/shared.ts";

/** A load balancer's own patience is a few seconds. */
const ANSWER_MS = 1_000;

const MIGRATIONS = new URL("../../db/migrations/", import.meta.url);

/** The version of the newest migration that this release brings: of files, since none of them is ever left out. */
export async function newestMigration(directory: URL | string = MIGRATIONS): Promise<string> {
  const names = (await readdir(directory)).filter((name) => name.endsWith(".sql")).sort();
  return names.at(-1)?.split("_")[0] ?? "";
}

/**
 * Throws a 503 that says what is in the way: draining · database_unavailable · migrations_pending · server_too_old. Answers
 * within a second, by a deadline of its own. A database that is newer than this server is fine as long as its functions are:
 * that is a roll-out.
 */
export function createReadiness({
  db,
  isDraining,
  newestMigration,
}: {
  db: Pick<Db, "schemaVersion">;
  isDraining: () => boolean;
  newestMigration: string;
}): () => Promise<void> {
  // Anybody may ask, as often as they like: it costs the database one question at a time.
  const schemaVersion = createShared(() => db.schemaVersion());

  return async () => {
    if (isDraining()) throw notReady("draining");
    const { migration, oldest_server } = await within(ANSWER_MS, schemaVersion()).catch((error) => {
      throw explained(error, newestMigration);
    });
    if (migration === null || migration < newestMigration) throw pending(migration, newestMigration);
    if (oldest_server > newestMigration)
      throw notReady(
        "server_too_old",
        `The database's functions need a server that knows migration ${oldest_server}; this one knows them up to ` +
          `${newestMigration}. Start the newer release.`,
      );
  };
}

function within(ms: number, answer: Promise<SchemaVersion>): Promise<SchemaVersion> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new DatabaseError("unknown", "", `no answer from the database in ${ms} ms`)),
      ms,
    );
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** A failed question, as what it says about this server; our own mistakes and what is told as unavailable anyway stay so. */
function explained(error: unknown, newestMigration: string): unknown {
  if (!(error instanceof DatabaseError) || error.kind === "unavailable") return error;
  if (error.sqlstate === UNDEFINED_FUNCTION) return pending(null, newestMigration);
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

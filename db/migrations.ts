/** The migrations of a release: which there are, which were applied, and dbmate, which applies the others. */
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { resolveBinary } from "dbmate";
import { asOwner, type Session, type Sql } from "./connect.ts";
import { LOCK_MS, LockTimeout, migrationSession, type Patience } from "./patience.ts";
import type { Target } from "./target.ts";

/** The files of a release's migrations, in order. */
export async function migrationFiles(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.endsWith(".sql")).sort();
}

export const versionOf = (file: string) => file.split("_")[0] as string;

/** What was applied, by version; as coupon_owner. */
export async function appliedMigrations(sql: Session): Promise<string[]> {
  const [table] = await sql`
    select from pg_class c
    where c.relname = 'schema_migrations' and c.relnamespace = (select oid from pg_namespace where nspname = 'coupon')
  `;
  if (!table) return [];
  const rows = await sql`select version from coupon.schema_migrations order by version`;
  return rows.map((row) => row["version"]);
}

/** The first migration that was ever released. What was applied before it belongs to a state that nothing migrates. */
const FIRST_RELEASED = "20261128000001";

export const isUnreleased = (version: string) => version < FIRST_RELEASED;

/**
 * Refuses a database that a newer release has migrated: the functions of this one would replace the newer ones, under servers
 * that call them. Whoever still serves with this release needs no set-up. `unknown` are versions without a file.
 */
export function refuseUnknown(unknown: string[]): void {
  if (unknown.some(isUnreleased))
    throw new Error(
      "the database was made before the first release and can't be migrated: " +
        "./sd reset removes an embedded one, with all in it; else give DATABASE_URL of another one",
    );
  if (unknown.length > 0)
    throw new Error(
      `the database has migration ${unknown.join(", ")} of another release: set up with that one. ` +
        "To serve with this one meanwhile, give API_DATABASE_URL and no DATABASE_URL",
    );
}

/** Runs dbmate as coupon_owner, so that everything belongs to the role without login. `sql` is the set-up's session. */
export async function migrate(
  sql: Sql,
  target: Target,
  directory: string,
  patiently: Patience,
  log: (line: string) => void,
): Promise<void> {
  const files = await migrationFiles(directory);
  const applied = await patiently("migrations", () => asOwner(sql, appliedMigrations));
  refuseUnknown(applied.filter((version) => !files.map(versionOf).includes(version)));
  const pending = files.filter((file) => !applied.includes(versionOf(file)));
  const texts = await Promise.all(pending.map((file) => readFile(join(directory, file), "utf8")));
  const [session] = await sql`select ssl, pid from pg_stat_ssl where pid = pg_backend_pid()`;
  const url = target.migrationUrl(session?.["ssl"] === true, {
    role: "coupon_owner",
    application_name: migrationSession(session?.["pid"]),
    // Whoever issues waits behind a migration that waits for a lock, so it must not wait for long. But an index that is made
    // concurrently keeps nobody waiting, and is left invalid when it is given up.
    ...(texts.some((text) => text.includes("transaction:false")) ? {} : { lock_timeout: `${LOCK_MS}` }),
  });
  await patiently("migrations", () => runDbmate(url, directory, log));
}

async function runDbmate(databaseUrl: string, directory: string, log: (line: string) => void): Promise<void> {
  const args = [
    ["--migrations-dir", directory],
    ["--migrations-table", "coupon.schema_migrations"],
    ["--no-dump-schema", "up", "--strict"],
  ].flat();
  const begun = (stdout: string) =>
    [...stdout.matchAll(/^Applying: (.+)$/gm)].map(([, file]) => file as string);
  try {
    // In the environment, because everyone can read a command line.
    const env = { ...process.env, DATABASE_URL: databaseUrl };
    const { stdout } = await promisify(execFile)(resolveBinary(), args, { env });
    for (const file of begun(stdout)) log(`migrated ${file}`);
  } catch (error) {
    const { stderr, stdout, message } = error as { stderr?: string; stdout?: string; message: string };
    const files = begun(stdout ?? "");
    const file = files.pop();
    for (const done of files) log(`migrated ${done}`);
    // "Error: line: 3, column: 1, position: 54: pq: syntax error … at position 3:1 (42601)"
    const [, line, reason = ""] =
      (stderr || message).trim().match(/^(?:Error: )?(?:line: (\d+), .*? pq: )?(?:pq: )?(.*)$/s) ?? [];
    if (reason.endsWith("(55P03)"))
      throw new LockTimeout(file ? `db/migrations/${file}` : "migrations", error);
    const where = file ? `db/migrations/${file}${line ? `:${line}` : ""}` : "dbmate failed";
    throw new Error(`${where}: ${reason.replace(/ at (position|column) [\d:]+(?= \(\w{5}\)$)/, "")}`, {
      cause: error,
    });
  }
}

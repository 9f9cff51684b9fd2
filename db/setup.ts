/** Makes a database ready, from whatever state: checks rights, makes roles, migrates, loads functions, opens logins. */
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { resolveBinary } from "dbmate";
import { connect, explained, type Sql, withConnection } from "./connect.ts";
import { advanceSequences, type SequenceBehind } from "./sequences.ts";
import { LOGINS, type Target } from "./target.ts";

/** Where a release's migrations and functions are; tests give others. */
export const SOURCES = {
  migrations: fileURLToPath(new URL("./migrations", import.meta.url)),
  functions: fileURLToPath(new URL("../sql", import.meta.url)),
};
export type Sources = typeof SOURCES;

/** Held by the set-up session; any number that nothing else on the database locks. */
export const SETUP_LOCK = "4850179452613153";

/** Less than the server's own lock_timeout and patience (2 s): behind a migration that waits so long nobody is refused. */
const MIGRATION_LOCK_MS = 1_000;
/** With longer and longer pauses between them, half a minute in all. */
const MIGRATION_ATTEMPTS = 10;

/**
 * Sets up, as often as you like; set-ups of one database at the same time take turns. Afterwards `target.as(…)` can log in.
 * `log` gets a line for each step. `sources` are other directories than db/migrations and sql, as tests give them.
 */
export async function setUp(
  target: Target,
  log: (line: string) => void = () => {},
  sources: Partial<Sources> = {},
): Promise<void> {
  const { migrations, functions } = { ...SOURCES, ...sources };
  await withConnection(target, async (sql) => {
    await checkRights(sql);
    await sql`select pg_advisory_lock(${SETUP_LOCK}::bigint)`;
    log("roles");
    await amongOthers(() => runFile(sql, functions, "roles.sql"));
    log("migrations");
    await migrate(sql, target, migrations, log);
    log("functions");
    await loadFunctions(target, functions);
    for (const { sequence, highest } of await mendSequences(target))
      log(`sequence ${sequence} goes on after ${highest}`);
    await openLogins(sql, target);
  });
}

/** Fails with one sentence that says what is missing and how to give it. */
export async function checkRights(sql: Sql): Promise<void> {
  const [has] = await sql`
    select
      quote_ident(current_user) as login,
      quote_ident(current_database()) as database,
      current_setting('server_version') as version,
      current_setting('server_version_num')::integer >= 150000 as new_enough,
      current_setting('server_encoding') as encoding,
      pg_is_in_recovery() as is_standby,
      r.rolsuper or r.rolcreaterole or (
        select count(*) = 4 from pg_roles o
        where o.rolname in ('coupon_owner', 'coupon_api', 'coupon_admin', 'coupon_monitor')
          and pg_has_role(current_user, o.oid, 'member')
      ) as roles,
      has_database_privilege(current_database(), 'create with grant option') as database_create,
      has_schema_privilege('public', 'create with grant option') as public_create
    from pg_roles r
    where r.rolname = current_user
  `;
  if (!has) throw new Error("the database does not say who we are");
  const { login, database } = has;
  if (!has["new_enough"])
    throw new Error(`PostgreSQL ${has["version"]} is too old: give DATABASE_URL of PostgreSQL 15 or newer`);
  if (has["encoding"] !== "UTF8")
    throw new Error(`database ${database} has encoding ${has["encoding"]}: make one with encoding 'UTF8'`);
  if (has["is_standby"])
    throw new Error("this PostgreSQL is a standby and can't be written: give the primary's DATABASE_URL");
  if (!has["roles"])
    throw new Error(`${login} may not create roles: as superuser run "alter role ${login} createrole"`);
  if (!has["database_create"] || !has["public_create"])
    throw new Error(
      `${login} may not create in database ${database}: as superuser run "alter database ${database} owner to ${login}"`,
    );
}

/** The files of a release's migrations, in order. */
export async function migrationFiles(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.endsWith(".sql")).sort();
}

export const versionOf = (file: string) => file.split("_")[0] as string;

/** What was applied, by version; as coupon_owner. */
export async function appliedMigrations(sql: Sql): Promise<string[]> {
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

/** Runs dbmate as coupon_owner, so that everything belongs to the role without login. */
async function migrate(
  sql: Sql,
  target: Target,
  directory: string,
  log: (line: string) => void,
): Promise<void> {
  const files = await migrationFiles(directory);
  const applied = await withConnection(target, appliedMigrations, { role: "coupon_owner" });
  refuseUnknown(applied.filter((version) => !files.map(versionOf).includes(version)));
  const pending = files.filter((file) => !applied.includes(versionOf(file)));
  const texts = await Promise.all(pending.map((file) => readFile(join(directory, file), "utf8")));
  const url = target.migrationUrl(await isEncrypted(sql), {
    role: "coupon_owner",
    // Whoever issues waits behind a migration that waits for a lock, so it must not wait for long. But an index that is made
    // concurrently keeps nobody waiting, and is left invalid when it is given up.
    ...(texts.some((text) => text.includes("transaction:false"))
      ? {}
      : { lock_timeout: `${MIGRATION_LOCK_MS}` }),
  });
  for (let attempt = 1; ; attempt++) {
    try {
      await runDbmate(url, directory, log);
      return;
    } catch (error) {
      if (!(error instanceof LockNotFree) || attempt === MIGRATION_ATTEMPTS) throw error;
      log(`${error.file} waits for a lock: again in a moment`);
      await sleep(attempt * 500);
    }
  }
}

async function isEncrypted(sql: Sql): Promise<boolean> {
  const [row] = await sql`select ssl from pg_stat_ssl where pid = pg_backend_pid()`;
  return row?.["ssl"] === true;
}

/** A migration that was undone, since somebody holds what it wants to lock. */
class LockNotFree extends Error {
  readonly file: string;
  constructor(file: string, cause: unknown) {
    super(`db/migrations/${file}: somebody holds what it must lock, see ./sd status: try again later`, {
      cause,
    });
    this.file = file;
  }
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
    if (file && reason.endsWith("(55P03)")) throw new LockNotFree(file, error);
    const where = file ? `db/migrations/${file}${line ? `:${line}` : ""}` : "dbmate failed";
    throw new Error(`${where}: ${reason.replace(/ at (position|column) [\d:]+(?= \(\w{5}\)$)/, "")}`, {
      cause: error,
    });
  }
}

/** Replaces all functions and rights, in the manifest's order, in one transaction. */
async function loadFunctions(target: Target, directory: string): Promise<void> {
  await withConnection(target, (owner) => owner.begin((sql) => runManifest(sql, directory)), {
    role: "coupon_owner",
  });
}

function mendSequences(target: Target): Promise<SequenceBehind[]> {
  return withConnection(target, (owner) => owner.begin(advanceSequences), { role: "coupon_owner" });
}

/** The functions and rights, as coupon_owner and in a transaction of the caller's. */
export async function runManifest(sql: Pick<Sql, "unsafe">, directory: string): Promise<void> {
  const manifest = (await readFile(join(directory, "manifest.txt"), "utf8")).split("\n").filter(Boolean);
  // What PL/pgSQL only warns about is an error here.
  await sql.unsafe("select set_config('plpgsql.extra_errors', 'all', true)");
  for (const file of manifest) await runFile(sql, directory, file);
}

export async function runFile(sql: Pick<Sql, "unsafe">, directory: string, file: string): Promise<void> {
  const text = await readFile(join(directory, file), "utf8");
  try {
    await sql.unsafe(text).simple();
  } catch (error) {
    const { message, position } = error as { message: string; position?: string };
    const line = position ? `:${text.slice(0, Number(position)).split("\n").length}` : "";
    throw new Error(`sql/${file}${line}: ${message}`, { cause: error });
  }
}

/**
 * Repeats what may meet another set-up at the same row. Roles belong to the whole server, locks of ours to one database;
 * PostgreSQL lets the second one wait for the first and then says that it was overtaken.
 */
export async function amongOthers<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const { code, message } = ((error as Error).cause ?? error) as { code?: string; message: string };
      const overtaken = code === "23505" || (code === "XX000" && message.startsWith("tuple concurrently"));
      if (!overtaken || attempt === 20) throw error;
    }
  }
}

/** Lets coupon_api and coupon_admin log in with their derived passwords. It changes nothing when they can already. */
async function openLogins(sql: Sql, target: Target): Promise<void> {
  for (const login of LOGINS) {
    if (await canLogIn(target.as(login))) continue;
    const { password } = target.as(login);
    // The derived password is hexadecimal: nothing to quote.
    await amongOthers(() =>
      sql.unsafe(`alter role ${login} login password ${password === "" ? "null" : `'${password}'`}`),
    ).catch((error: { code?: string }) => {
      throw error.code === "42501"
        ? new Error(
            `${target.login} may not give ${login} its password: as superuser run "alter role ${target.login} createrole"`,
          )
        : error;
    });
    if (!(await canLogIn(target.as(login))))
      throw new Error(
        `${login} can't log in with a password: let pg_hba.conf accept it, or set API_DATABASE_URL yourself`,
      );
  }
}

export async function canLogIn(target: Target): Promise<boolean> {
  const sql = connect(target);
  try {
    await sql`select 1`;
    return true;
  } catch (error) {
    // Class 28: no such login, or another password.
    if (String((error as { code?: string }).code).startsWith("28")) return false;
    throw explained(error, target);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

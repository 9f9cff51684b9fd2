/**
 * What a database and this release are to each other. A release that is older than the database, as a server of before that starts
 * again during a roll-out, changes nothing there: its functions would replace newer ones, under servers that call those.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Session } from "./connect.ts";
import { manifestOf } from "./functions.ts";

export interface Sources {
  migrations: string;
  functions: string;
}

export interface Standing {
  /** Versions of migrations that are in the database. */
  applied: string[];
  /** Of those the ones that no file is named after: another release's. */
  unknown: string[];
  /** Files that are not applied yet. */
  pending: string[];
  /** The newest migration that this release has. */
  newest: string;
  /** The number of the set of functions that this release has. */
  set: number;
  /** That of the set which is loaded; undefined where there is none, or one from before sets had numbers. */
  loadedSet: number | undefined;
  /** The oldest migration that a server must know to call the functions which are loaded. */
  oldestServer: string | undefined;
}

/** Asks as coupon_owner. */
export async function standingOf(owner: Session, { migrations, functions }: Sources): Promise<Standing> {
  const files = await migrationFiles(migrations);
  const versions = files.map(versionOf);
  const applied = await appliedMigrations(owner);
  // What cannot be called counts as not there: a right that somebody took from the owner, or that it has not yet, set-up gives.
  const [loaded] = await owner`
    select bool_or(n.nspname = 'coupon') as set, bool_or(n.nspname = 'public') as version
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    where (n.nspname::text, p.proname::text) in (('coupon', 'function_set'), ('public', 'schema_version')) and p.pronargs = 0
      and has_schema_privilege(n.oid, 'usage') and has_function_privilege(p.oid, 'execute')`;
  const [set] = loaded?.["set"] ? await owner`select coupon.function_set() as set` : [];
  const [version] = loaded?.["version"] ? await owner`select oldest_server from public.schema_version()` : [];
  return {
    applied,
    unknown: applied.filter((each) => !versions.includes(each)),
    pending: files.filter((file) => !applied.includes(versionOf(file))),
    newest: versions.at(-1) ?? "",
    set: await functionSetOf(functions),
    loadedSet: set?.["set"],
    oldestServer: version?.["oldest_server"],
  };
}

/** The files of a release's migrations, in order. */
export async function migrationFiles(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.endsWith(".sql")).sort();
}

const versionOf = (file: string) => file.split("_")[0] as string;

async function appliedMigrations(owner: Session): Promise<string[]> {
  const [table] = await owner`
    select from pg_class c
    where c.relname = 'schema_migrations' and c.relnamespace = (select oid from pg_namespace where nspname = 'coupon')
  `;
  if (!table) return [];
  const rows = await owner`select version from coupon.schema_migrations order by version`;
  return rows.map((row) => row["version"]);
}

/** The first migration that was ever released. What was applied before it belongs to a state that nothing migrates. */
const FIRST_RELEASED = "20261128000001";

export const isUnreleased = (version: string) => version < FIRST_RELEASED;

/** Whether the database has something that this release does not: set-up changes nothing there. */
export function isOthers({ unknown, set, loadedSet = 0 }: Standing): boolean {
  return unknown.length > 0 || loadedSet > set;
}

/**
 * Why this release only serves the database: it is older. Undefined where it is the one to set it up. Throws where it can do neither.
 */
export function whyOnlyServe(standing: Standing): string | undefined {
  const { unknown, pending, newest, set, loadedSet = 0, oldestServer = "" } = standing;
  if (unknown.some(isUnreleased))
    throw new Error(
      "the database was made before the first release and can't be migrated: " +
        "./sd reset removes an embedded one, with all in it; else give DATABASE_URL of another one",
    );
  if (!isOthers(standing)) return undefined;
  const newer = [
    ...(loadedSet > set ? [`functions ${loadedSet}, this one has ${set}`] : []),
    ...(unknown.length > 0 ? [`migration ${unknown.join(", ")}, which this one does not know`] : []),
  ];
  const lacking = [...pending, ...(loadedSet < set ? [`functions ${set}`] : [])];
  if (lacking.length > 0)
    throw new Error(
      `the database is of another release (${newer.join("; ")}) and lacks ${lacking.join(", ")}: set up with one that has both`,
    );
  const found = `the database is of a newer release (${newer.join("; ")})`;
  if (oldestServer > newest)
    throw new Error(
      `${found}, whose functions need a server that knows migration ${oldestServer}: start that release`,
    );
  return `${found}: this one changes nothing there and only serves`;
}

const SET_FILE = "internal/function_set.sql";

async function functionSetOf(directory: string): Promise<number> {
  const text = await readFile(join(directory, SET_FILE), "utf8");
  return Number(text.match(/^return (\d+);$/m)?.[1]);
}

/** Of all files that make a set of functions, with its number: the one that SET_FILE tells must be this. */
export async function digestOf(directory: string): Promise<string> {
  const hash = createHash("sha256").update(`${await functionSetOf(directory)}\n`);
  for (const file of ["roles.sql", ...(await manifestOf(directory))])
    if (file !== SET_FILE) hash.update(`${file}\n`).update(await readFile(join(directory, file)));
  return hash.digest("hex");
}

/**
 * Compares a database with what this release's files make. The wanted state is made: in a transaction that is rolled back, both
 * schemas step aside and set-up runs anew beside them. The catalogue is read before and after, by one query, from one server,
 * so nothing has to be kept or translated between versions of PostgreSQL. Nothing is changed, and nobody who issues waits.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Catalogue, catalogueOf } from "./catalogue.ts";
import { type Sql, withSession } from "./connect.ts";
import { type Difference, differences } from "./differences.ts";
import { manifestOf, runFile, runManifest } from "./functions.ts";
import { primaryOf } from "./hosts.ts";
import { kept, loginsOf, NEW_PASSWORDS } from "./logins.ts";
import { isOthers, migrationFiles, type Sources, standingOf } from "./release.ts";
import { renamedSchemas, requireOurs } from "./renames.ts";
import { checkRights, keeperOf } from "./roles.ts";
import { inWords, sequencesBehind } from "./sequences.ts";
import { SOURCES } from "./setup.ts";
import type { Target } from "./target.ts";
import { onTrial } from "./trial.ts";

export interface Finding {
  /** What differs, in words. */
  what: string;
  /** A statement, or a command of ./sd, that mends it. */
  todo: string;
}

/** What the doctor needs to know besides the database. */
export interface Scope extends Sources {
  /** How many connections the server opens. */
  connections: number;
}

/** All that differs; none if all is well. Throws what set-up would throw where rights are missing. */
export async function examine(given: Target, scope: Partial<Scope> = {}): Promise<Finding[]> {
  const target = await primaryOf(given);
  const all = { ...SOURCES, connections: 1, ...scope };
  return withSession(target, async (sql) => {
    await checkRights(sql);
    await requireOurs(sql);
    const shut = await shutLogins(sql, target);
    const found = await onTrial(sql, target, () => examineWithin(sql, all));
    // New passwords are recorded, too.
    const isMended = shut.some(({ todo }) => todo === NEW_PASSWORDS);
    return [...found.filter(({ what }) => !isMended || what !== UNRECORDED), ...shut];
  });
}

/** Unless another login gave them their passwords, ours take those of the target. */
async function shutLogins(sql: Sql, target: Target): Promise<Finding[]> {
  const { closed, keptBy } = await loginsOf(sql, target);
  if (keptBy !== undefined) return keptBy.isLost ? [{ what: kept(closed, keptBy), todo: NEW_PASSWORDS }] : [];
  return closed.map((login) => ({
    what: `role ${login} can't log in with the password of this DATABASE_URL`,
    todo: "./sd migrate",
  }));
}

/** In a transaction that has to be rolled back. */
async function examineWithin(sql: Sql, { connections, ...sources }: Scope): Promise<Finding[]> {
  for (const obstacles of [missing, strangeOwners, notTheOwner]) {
    const found = await obstacles(sql);
    if (found.length > 0) return found;
  }
  const catalogue = await catalogueOf(sql);
  await regainRights(sql);
  const unfit = await unfitRelease(sql, sources);
  if (unfit.length > 0) return unfit;
  const is = { catalogue, rest: await restOf(sql, connections) };
  try {
    const wanted = await wantedCatalogue(sql, is.catalogue, sources);
    return findings(is, wanted, await mendingOf(sources));
  } catch (error) {
    // Somebody's event trigger, for example, which is among the rest.
    const { code, message } = error as { code?: string; message: string };
    if (is.rest.length === 0 || code === "55P03") throw error;
    return [...is.rest, { what: `nothing else can be compared: ${message}`, todo: "first mend the rest" }];
  }
}

interface State {
  catalogue: Catalogue;
  /** What is wrong whatever the files say. */
  rest: Finding[];
}

export async function restOf(sql: Sql, connections: number): Promise<Finding[]> {
  const around = await sql.unsafe<Finding[]>(
    await readFile(new URL("surroundings.sql", import.meta.url), "utf8"),
    [connections],
  );
  const behind = await whileOwner(sql, () => sequencesBehind(sql));
  const isRecorded = (await keeperOf(sql))?.isRecorded;
  return [
    ...behind.map((each) => ({ what: `sequence ${inWords(each)}`, todo: "./sd migrate" })),
    ...(isRecorded ? [] : [{ what: UNRECORDED, todo: "./sd migrate" }]),
    ...around,
  ];
}

const UNRECORDED =
  "role coupon_owner: comment doesn't name the login whose passwords coupon_api and coupon_admin have";

export function findings(is: State, wanted: Catalogue, mending: Mending): Finding[] {
  return [...differences(is.catalogue, wanted).map(mending), ...is.rest];
}

/** Set-up never was here, or somebody took away what all else hangs on. */
async function missing(sql: Sql): Promise<Finding[]> {
  const rows = await sql`
    select 'role ' || o.name as object
    from (values ('coupon_owner'), ('coupon_api'), ('coupon_admin'), ('coupon_monitor')) o (name)
    where not exists (select from pg_roles r where r.rolname = o.name)
    union all
    select 'schema ' || s.name
    from (values ('coupon'), ('public')) s (name)
    where not exists (select from pg_namespace n where n.nspname = s.name)
  `;
  const renamed = await renamedSchemas(sql);
  const lost = rows.filter(({ object: name }) => renamed.every(({ object }) => object !== name));
  return [
    ...lost.map(({ object }) => ({
      what: `${object} is missing`,
      todo:
        object === "schema public" ? "create schema public authorization pg_database_owner" : "./sd migrate",
    })),
    ...renamed.map(({ object, is, todo }) => ({ what: `${object} is called ${is}`, todo })),
  ];
}

/** What the comparison itself needs, where coupon_owner has lost it; the catalogue was read before. */
async function regainRights(sql: Sql): Promise<void> {
  await whileOwner(sql, async () => {
    const lost = await sql`
      select 'grant usage on schema coupon to coupon_owner' as statement
      where not has_schema_privilege('coupon', 'usage')
      union all
      select format('grant select on coupon.%I to coupon_owner', c.relname)
      from pg_class c
      where c.relnamespace = (select oid from pg_namespace where nspname = 'coupon') and c.relname = 'schema_migrations'
        and c.relowner = 'coupon_owner'::regrole and not has_table_privilege(c.oid, 'select')
    `;
    for (const { statement } of lost) await sql.unsafe(statement);
  });
}

/** Without the migrations of just this release there is nothing to compare with, and not with the functions of a newer one. */
async function unfitRelease(sql: Sql, sources: Sources): Promise<Finding[]> {
  const standing = await whileOwner(sql, () => standingOf(sql, sources));
  const { pending, unknown, set, loadedSet } = standing;
  const others = [
    ...unknown.map((version) => `migration ${version} is of another release`),
    ...(isOthers({ ...standing, unknown: [] })
      ? [`the functions are set ${loadedSet} of a newer release, this one has ${set}`]
      : []),
  ];
  return [
    ...pending.map((file) => ({ what: `migration ${file} is not applied`, todo: "./sd migrate" })),
    ...others.map((what) => ({ what, todo: "ask the doctor of that release" })),
  ];
}

/** Only their owners can put schemas aside, and read what was applied. */
async function strangeOwners(sql: Sql): Promise<Finding[]> {
  const rows = await sql`
    select 'schema ' || n.nspname as object, n.nspowner::regrole::text as owner,
      case n.nspname when 'coupon' then 'coupon_owner' else 'pg_database_owner' end as wanted
    from pg_namespace n
    where n.nspname = 'coupon' and n.nspowner <> 'coupon_owner'::regrole
      or n.nspname = 'public' and n.nspowner <> 'pg_database_owner'::regrole and not pg_has_role(current_user, n.nspowner, 'usage')
    union all
    select 'table coupon.schema_migrations', c.relowner::regrole::text, 'coupon_owner'
    from pg_class c
    where c.relname = 'schema_migrations' and c.relnamespace = to_regnamespace('coupon') and c.relowner <> 'coupon_owner'::regrole
  `;
  return rows.map(({ object, owner, wanted }) => ({
    what: `${object}: owner is ${owner}, should be ${wanted}; before that nothing else can be compared`,
    todo: `alter ${object} owner to ${wanted}`,
  }));
}

/** Schema public is put aside by who owns the database, and on PostgreSQL 15 not without INHERIT. */
async function notTheOwner(sql: Sql): Promise<Finding[]> {
  const rows = await sql`
    select case d.datdba when quote_ident(current_user)::regrole then format('alter role %I inherit', current_user)
      else format('give DATABASE_URL as %s', d.datdba::regrole) end as todo
    from pg_namespace n
    cross join pg_database d
    where n.nspname = 'public' and n.nspowner = 'pg_database_owner'::regrole and d.datname = current_database()
      and not pg_has_role(current_user, n.nspowner, 'usage')
  `;
  return rows.map(({ todo }) => ({
    what: "schema public is the database owner's, whose rights this login does not have; before that nothing else can be compared",
    todo,
  }));
}

/** What all of set-up makes of an empty database, but the logins. In a transaction that has to be rolled back. */
export async function wantedCatalogue(
  sql: Sql,
  is: Catalogue,
  { migrations, functions }: Sources,
): Promise<Catalogue> {
  await sql.unsafe(`
    alter schema public rename to coupon_doctor_public;
    create schema public;
    grant usage on schema public to public;
  `);
  // What belongs to a role stands in no schema and can't step aside: it is taken away.
  for (const { object, unmake } of is.values())
    if (object.startsWith("role ") && unmake !== null) await ifAllowed(sql, unmake);
  await runFile(sql, functions, "roles.sql");
  await whileOwner(sql, async () => {
    await sql.unsafe(`
      alter schema coupon rename to coupon_doctor_coupon;
      create schema coupon;
      -- It is dbmate's: as it is, it is right.
      create table coupon.schema_migrations (like coupon_doctor_coupon.schema_migrations including all);
      insert into coupon.schema_migrations select * from coupon_doctor_coupon.schema_migrations;
    `);
    for (const { object, unmake } of is.values())
      if (/^default rights on \w+ of coupon_owner$/.test(object) && unmake !== null) await sql.unsafe(unmake);
    await sql.unsafe(POSTGRESQLS_DEFAULT_RIGHTS);
    for (const file of await migrationFiles(migrations)) {
      const [up = ""] = (await readFile(join(migrations, file), "utf8")).split("-- migrate:down");
      await sql.unsafe(up.replaceAll(/\bindex concurrently\b/gi, "index")); // a transaction can't do that
    }
    await runManifest(sql, functions);
  });
  const wanted = new Map(await catalogueOf(sql));
  // A superuser alone takes these away, and no file sets one.
  const rows = await sql`select name from pg_settings where context in ('superuser', 'superuser-backend')`;
  const names = new Set(rows.map(({ name }) => name));
  for (const [key, { object, property }] of wanted)
    if (object.startsWith("role ") && names.has(property.split(" ")[1])) wanted.delete(key);
  return wanted;
}

const POSTGRESQLS_DEFAULT_RIGHTS = `
  ${["tables", "sequences", "functions", "types", "schemas"]
    .map((kind) => `alter default privileges grant all on ${kind} to coupon_owner;`)
    .join("\n")}
  alter default privileges grant execute on functions to public;
  alter default privileges grant usage on types to public;
`;

/** A login that may not change a role leaves it as it is, as set-up does while nothing is missing. */
async function ifAllowed(sql: Sql, statement: string): Promise<void> {
  await sql`savepoint before`;
  await sql.unsafe(statement).catch(async (error: { code?: string }) => {
    if (error.code !== "42501") throw error;
    await sql`rollback to before`;
  });
}

async function whileOwner<T>(sql: Sql, work: () => Promise<T>): Promise<T> {
  await sql`set local role coupon_owner`;
  const result = await work();
  await sql`reset role`;
  return result;
}

type Mending = (found: Difference) => Finding;

/** Says what mends a difference: of a function that is the file which makes it. */
export async function mendingOf({ migrations, functions }: Sources): Promise<Mending> {
  const homes = new Map<string, string>();
  const read = async (directory: string, file: string, home: string) => {
    const text = await readFile(join(directory, file), "utf8");
    const made = /^create (?:or replace |unlogged )?(function|table|type) ([\w.]+)/gm;
    for (const [, kind, name] of text.matchAll(made)) homes.set(`${kind} ${name}`, home);
  };
  for (const file of await migrationFiles(migrations))
    await read(migrations, file, `run its statement in db/migrations/${file}`);
  for (const file of await manifestOf(functions)) await read(functions, file, "./sd migrate");
  return ({ what, todo, object, property }) => {
    const home = homes.get(object.split("(")[0] ?? "");
    const isSigned = property === "result" || property === "arguments";
    if (isSigned && home === "./sd migrate") return { what, todo: `drop ${object}; ./sd migrate` };
    return { what, todo: todo ?? home ?? "see db/migrations" };
  };
}

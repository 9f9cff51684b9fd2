/**
 * What set-up would do, found by doing it: roles, functions and rights are loaded in a transaction that is rolled back, and
 * what the catalogue says before and after is compared. Nothing is changed, and nobody who issues waits for it.
 */
import { type Sql, withSession } from "./connect.ts";
import { runManifest } from "./functions.ts";
import { primaryOf } from "./hosts.ts";
import { type Giver, keptOrAnew, loginsOf } from "./logins.ts";
import { isOthers, isUnreleased, type Sources, type Standing, standingOf } from "./release.ts";
import { requireSchemas } from "./renames.ts";
import { checkRights, makeRoles, requireWrites } from "./roles.ts";
import { inWords, type SequenceBehind, sequencesBehind } from "./sequences.ts";
import { SOURCES } from "./setup.ts";
import type { Login, Target } from "./target.ts";
import { onTrial } from "./trial.ts";

export interface Pending {
  standing: Standing;
  /** Roles that would be made or changed. */
  roles: string[];
  /** By signature; none where migrations come first, since the functions may need them, and none of a newer release's. */
  functions: FunctionChanges | undefined;
  /** Whose rights would be changed, of all that is no function of a file; undefined with `functions`. */
  rights: string[] | undefined;
  /** Logins that would get the passwords of the target. */
  logins: Login[];
  /** Logins that have other passwords, and who gave them: set-up leaves them. */
  kept: { logins: Login[]; by: Giver } | undefined;
  /** Would be put after the rows of their tables; none where no migration was applied yet. */
  sequences: SequenceBehind[];
}

interface FunctionChanges {
  created: string[];
  changed: string[];
  /** Ours, and no file names them: set-up leaves them as they are. */
  leftOver: string[];
  same: number;
}

/** Throws what set-up would throw: rights that are missing, a file that doesn't load. */
export async function pendingOf(given: Target, sources: Partial<Sources> = {}): Promise<Pending> {
  const target = await primaryOf(given);
  return withSession(target, async (sql) => {
    await checkRights(sql);
    await requireWrites(sql);
    await requireSchemas(sql);
    const { closed, keptBy } = await loginsOf(sql, target);
    return {
      ...(await onTrial(sql, target, () => compareAll(sql, { ...SOURCES, ...sources }))),
      logins: keptBy === undefined ? closed : [],
      kept: keptBy === undefined ? undefined : { logins: closed, by: keptBy },
    };
  });
}

/** In a transaction that is rolled back. */
async function compareAll(sql: Sql, sources: Sources): Promise<Omit<Pending, "logins" | "kept">> {
  const before = await rolesOf(sql);
  await makeRoles(sql, sources.functions);
  const roles = differing(before, await rolesOf(sql));
  await sql`set local role coupon_owner`;
  const standing = await standingOf(sql, sources);
  const sequences = await sequencesBehind(sql);
  if (isOthers(standing))
    return { standing, roles: [], functions: undefined, rights: undefined, sequences: [] };
  const loaded = standing.pending.length > 0 ? undefined : await compareLoaded(sql, sources.functions);
  return {
    standing,
    roles,
    functions: loaded?.functions,
    rights: loaded?.rights,
    sequences,
  };
}

/** Whether set-up would change nothing. */
export function isNothing({ standing, roles, functions, rights, logins, sequences }: Pending): boolean {
  const changes = [...(functions?.created ?? []), ...(functions?.changed ?? []), ...(rights ?? [])];
  return [roles, standing.pending, changes, logins, sequences].every((list) => list.length === 0);
}

/** In words for an operator, a part a line. Of sequences only if one is behind. */
export function describe(
  pending: Pending,
): Record<"migrations" | "roles" | "functions" | "rights", string> & { sequences?: string } {
  const { standing, roles, functions, rights, logins, kept, sequences } = pending;
  const { applied, unknown, set, loadedSet = "none" } = standing;
  const notCompared = isOthers(standing) ? "not compared, the database is of another release" : undefined;
  const list = (names: string[]) => names.join(", ");
  const parts = (...each: [what: string, names: string[]][]) =>
    each.flatMap(([what, names]) => (names.length > 0 ? [`${what}: ${list(names)}`] : []));
  return {
    migrations: [
      applied.length > 0 ? `${applied.length} applied, the newest ${applied.at(-1)}` : "none applied",
      standing.pending.length > 0 ? `pending: ${list(standing.pending)}` : "none pending",
      ...parts(
        ["from before the first release, see ./sd reset", unknown.filter(isUnreleased)],
        ["of another release", unknown.filter((version) => !isUnreleased(version))],
      ),
    ].join("; "),
    roles:
      [
        ...parts(["differ", roles], ["can't log in with this DATABASE_URL yet", logins]),
        ...(kept ? [keptOrAnew(kept.logins, kept.by)] : []),
      ].join("; ") ||
      (notCompared ?? "as in the files"),
    functions: `set ${set} here, ${loadedSet} in the database; ${
      functions
        ? parts(
            ["missing", functions.created],
            ["differ", functions.changed],
            ["left over, in no file", functions.leftOver],
          ).join("; ") || `${functions.same}, as in the files`
        : (notCompared ?? "compared after the migrations")
    }`,
    rights: rights
      ? parts(["differ", rights]).join() || "as in the files"
      : (notCompared ?? "compared after the migrations"),
    ...(sequences.length > 0
      ? { sequences: `behind their tables: ${sequences.map(inWords).join("; ")}` }
      : {}),
  };
}

type Snapshot = Map<string, string>;

async function rolesOf(sql: Sql): Promise<Snapshot> {
  const rows = await sql`
    select
      r.rolname as name,
      jsonb_build_array(
        r.rolconfig,
        array(
          select s.setconfig from pg_db_role_setting s
          where s.setrole = r.oid and s.setdatabase = (select oid from pg_database where datname = current_database())),
        has_database_privilege(r.oid, current_database(), 'connect'),
        has_database_privilege(r.oid, current_database(), 'create'),
        has_schema_privilege(r.oid, 'public', 'create'),
        has_schema_privilege(r.oid, 'public', 'usage'),
        array(select m.roleid::regrole from pg_auth_members m where m.member = r.oid order by 1)
      )::text as definition
    from pg_roles r
    where r.rolname in ('coupon_owner', 'coupon_api', 'coupon_admin', 'coupon_monitor')
    order by 1
  `;
  return new Map(rows.map((row) => [row["name"], row["definition"]]));
}

const differing = (before: Snapshot, after: Snapshot) =>
  [...after.keys()].filter((name) => after.get(name) !== before.get(name));

async function compareLoaded(
  sql: Sql,
  directory: string,
): Promise<{ functions: FunctionChanges; rights: string[] }> {
  const [before, rights] = [await functionsOf(sql), await rightsOf(sql)];
  await runManifest(sql, directory);
  const after = await functionsOf(sql);
  const created = [...after.definitions.keys()].filter((name) => !before.definitions.has(name));
  const changed = differing(before.definitions, after.definitions).filter((name) => !created.includes(name));
  const { untouched } = after;
  const same = after.definitions.size - created.length - changed.length - untouched.length;
  return {
    functions: { created, changed, leftOver: untouched, same },
    rights: differing(rights, await rightsOf(sql)),
  };
}

/**
 * All that a file says of a function: definition, comment, rights. `untouched` are those that this transaction has not
 * written. Functions of triggers and indexes belong to the tables: they live in the migrations.
 */
async function functionsOf(sql: Sql): Promise<{ definitions: Snapshot; untouched: string[] }> {
  const rows = await sql`
    select
      p.oid::regprocedure::text as name,
      jsonb_build_array(
        pg_get_functiondef(p.oid), obj_description(p.oid, 'pg_proc'),
        array(select a::text from unnest(coalesce(p.proacl, acldefault('f', p.proowner))) a order by 1)
      )::text as definition,
      p.xmin = pg_current_xact_id()::xid as is_written
    from pg_proc p
    where p.pronamespace in ('public'::regnamespace, 'coupon'::regnamespace)
      and p.proowner = 'coupon_owner'::regrole and p.prokind in ('f', 'p') and p.prorettype <> 'trigger'::regtype
      and not exists (
        select from pg_depend d
        join pg_index i on i.indexrelid = d.objid
        where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid)
    order by 1
  `;
  return {
    definitions: new Map(rows.map((row) => [row["name"], row["definition"]])),
    untouched: rows.filter((row) => !row["is_written"]).map((row) => row["name"]),
  };
}

/** Who may do what with tables, their columns, sequences, schema coupon and triggers' functions, which no file loads. */
async function rightsOf(sql: Sql): Promise<Snapshot> {
  const rows = await sql`
    select pg_describe_object(o.class, o.oid, 0) as name, array(select r from unnest(o.rights) r order by 1)::text as rights
    from (
      select 'pg_class'::regclass, c.oid, c.relnamespace, c.relowner,
        coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))::text[] || array(
          select a.attname || ' ' || r from pg_attribute a, unnest(a.attacl) r where a.attrelid = c.oid)
      from pg_class c
      where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      union all
      select 'pg_proc'::regclass, p.oid, p.pronamespace, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))::text[]
      from pg_proc p
      where p.prorettype = 'trigger'::regtype
      union all
      select 'pg_namespace'::regclass, n.oid, n.oid, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))::text[]
      from pg_namespace n
    ) o (class, oid, namespace, owner, rights)
    where o.namespace in ('public'::regnamespace, 'coupon'::regnamespace) and o.owner = 'coupon_owner'::regrole
    order by 1
  `;
  return new Map(rows.map((row) => [row["name"], row["rights"]]));
}

/**
 * What set-up would do, found by doing it: roles and functions are loaded in a transaction that is rolled back, and what the
 * catalogue says before and after is compared. Nothing is changed, and nobody who issues waits for it.
 */
import { roleUrl, type Sql, withConnection } from "./connect.ts";
import {
  amongOthers,
  appliedMigrations,
  canLogIn,
  checkRights,
  LOGINS,
  migrationFiles,
  runFile,
  runManifest,
  SETUP_LOCK,
  SOURCES,
  type Sources,
  versionOf,
} from "./setup.ts";

export interface Pending {
  /** Roles that would be made or changed. */
  roles: string[];
  /** Versions that are in the database. */
  applied: string[];
  /** Of those the ones that no file is named after: another release's. */
  unknown: string[];
  /** Files that would be applied. */
  migrations: string[];
  /** By signature; none where migrations come first, since the functions may need them. */
  functions: FunctionChanges | undefined;
  /** Logins that would be opened. */
  logins: string[];
}

export interface FunctionChanges {
  created: string[];
  changed: string[];
  /** Ours, and no file names them: set-up leaves them as they are. */
  leftOver: string[];
  same: number;
}

/** Throws what set-up would throw: rights that are missing, a file that doesn't load. */
export function pendingOf(setupUrl: string, sources: Partial<Sources> = {}): Promise<Pending> {
  const { migrations, functions } = { ...SOURCES, ...sources };
  return withConnection(setupUrl, async (sql) => {
    await checkRights(sql);
    const logins = await closedLogins(setupUrl);
    return amongOthers(async () => {
      await sql`begin`;
      try {
        await sql`set local lock_timeout = '2s'`;
        await takeTurn(sql);
        const before = await rolesOf(sql);
        await runFile(sql, functions, "roles.sql");
        const roles = differing(before, await rolesOf(sql));
        await sql`set local role coupon_owner`;
        const applied = await appliedMigrations(sql);
        const files = await migrationFiles(migrations);
        const pending = files.filter((file) => !applied.includes(versionOf(file)));
        return {
          roles,
          applied,
          unknown: applied.filter((version) => !files.map(versionOf).includes(version)),
          migrations: pending,
          functions: pending.length > 0 ? undefined : await compareFunctions(sql, functions),
          logins,
        };
      } finally {
        await sql`rollback`;
      }
    });
  });
}

/** Whether set-up would change nothing. */
export function isNothing({ roles, migrations, functions, logins }: Pending): boolean {
  const changes = [...(functions?.created ?? []), ...(functions?.changed ?? [])];
  return [roles, migrations, changes, logins].every((list) => list.length === 0);
}

/** In words for an operator, a part a line. */
export function describe(pending: Pending): { migrations: string; roles: string; functions: string } {
  const { roles, applied, unknown, migrations, functions, logins } = pending;
  const list = (names: string[]) => names.join(", ");
  const parts = (...each: [what: string, names: string[]][]) =>
    each.flatMap(([what, names]) => (names.length > 0 ? [`${what}: ${list(names)}`] : []));
  return {
    migrations: [
      applied.length > 0 ? `${applied.length} applied, the newest ${applied.at(-1)}` : "none applied",
      migrations.length > 0 ? `pending: ${list(migrations)}` : "none pending",
      ...parts(["of another release", unknown]),
    ].join("; "),
    roles: parts(["differ", roles], ["can't log in yet", logins]).join("; ") || "as in the files",
    functions: functions
      ? parts(
          ["missing", functions.created],
          ["differ", functions.changed],
          ["left over, in no file", functions.leftOver],
        ).join("; ") || `${functions.same}, as in the files`
      : "compared after the migrations",
  };
}

/** Set-up itself may be at it. */
async function takeTurn(sql: Sql): Promise<void> {
  await sql`select pg_advisory_xact_lock(${SETUP_LOCK}::bigint)`.catch((error: { code?: string }) => {
    throw error.code === "55P03"
      ? new Error("another set-up is at work: ask again when it has ended")
      : error;
  });
}

async function closedLogins(setupUrl: string): Promise<string[]> {
  const closed: string[] = [];
  for (const role of LOGINS) if (!(await canLogIn(roleUrl(setupUrl, role)))) closed.push(role);
  return closed;
}

type Snapshot = Map<string, string>;

async function rolesOf(sql: Sql): Promise<Snapshot> {
  const rows = await sql`
    select
      r.rolname as name,
      jsonb_build_array(
        r.rolconfig,
        has_database_privilege(r.oid, current_database(), 'connect'),
        has_database_privilege(r.oid, current_database(), 'create'),
        has_schema_privilege(r.oid, 'public', 'create'),
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

async function compareFunctions(sql: Sql, directory: string): Promise<FunctionChanges> {
  const before = await functionsOf(sql);
  await runManifest(sql, directory);
  const after = await functionsOf(sql);
  const created = [...after.definitions.keys()].filter((name) => !before.definitions.has(name));
  const changed = differing(before.definitions, after.definitions).filter((name) => !created.includes(name));
  const { untouched } = after;
  const same = after.definitions.size - created.length - changed.length - untouched.length;
  return { created, changed, leftOver: untouched, same };
}

/**
 * All that a file says of a function: definition, comment, rights. `untouched` are those that this transaction has not
 * written. Triggers' functions live in the migrations.
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
    order by 1
  `;
  return {
    definitions: new Map(rows.map((row) => [row["name"], row["definition"]])),
    untouched: rows.filter((row) => !row["is_written"]).map((row) => row["name"]),
  };
}

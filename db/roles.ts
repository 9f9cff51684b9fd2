/** The roles, which belong to the whole server: whether this login may set up with them, and making what is missing. */
import type { Sql } from "./connect.ts";
import { runFile } from "./functions.ts";

const ROLES = ["coupon_owner", "coupon_api", "coupon_admin", "coupon_monitor"];

/** Whom PostgreSQL gives schema public to: whoever owns the database is a member. */
const DATABASE_OWNER = "pg_database_owner";

/** The login from whose password those of coupon_api and coupon_admin are derived. */
export interface Keeper {
  /** Its name by now; of one that is no more the name it had. */
  login: string;
  isThere: boolean;
  isOurs: boolean;
  /** Whether the record can stay as it is: of a login of ours that was renamed it needs the new name. */
  isRecorded: boolean;
}

const RECORD = "its logins have passwords from login ";

/** The statement that records this session's login, in a comment on coupon_owner: everybody on the server can read it. */
export async function recordOf(sql: Sql): Promise<string> {
  const [row] = await sql`
    select format('comment on role coupon_owner is %L', format('%s%s (oid %s)', ${RECORD}::text, r.rolname, r.oid)) as statement
    from pg_roles r
    where r.rolname = session_user
  `;
  return row?.["statement"];
}

/**
 * By the record; undefined if there is none. A login that was renamed is found by its oid, and by its name one that was made anew.
 * Roles belong to the whole server: databases that other logins set up share them.
 */
export async function keeperOf(sql: Sql): Promise<Keeper | undefined> {
  const [row] = await sql<Keeper[]>`
    select coalesce(k.rolname, m.record[1]) as login, k.rolname is not null as "isThere", k.rolname is not distinct from session_user as "isOurs",
      k.rolname is not null and (k.rolname <> session_user or (m.record[1], m.record[2]) = (k.rolname::text, k.oid::text)) as "isRecorded"
    from pg_roles o
    cross join lateral regexp_match(shobj_description(o.oid, 'pg_authid'), ${`^${RECORD}(.*?)(?: \\(oid (\\d+)\\))?$`}) m (record)
    left join lateral (
      select r.oid, r.rolname from pg_roles r
      where r.oid::text = m.record[2] or r.rolname = m.record[1]
      -- On a server that roles were copied to (pg_dumpall), another one has that number.
      order by pg_has_role(r.oid, o.oid, 'member') desc, r.oid::text = m.record[2] desc nulls last
      limit 1
    ) k on true
    where o.rolname = 'coupon_owner' and m.record is not null
  `;
  return row;
}

/** Makes and grants what is missing. Another set-up of the server may have made the roles meanwhile: they may be somebody else's. */
export async function makeRoles(sql: Sql, directory: string): Promise<void> {
  await checkRights(sql);
  await runFile(sql, directory, "roles.sql");
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
      -- Its record goes with it.
      (select quote_ident(o.rolname) from pg_roles o
        where to_regrole('coupon_owner') is null and starts_with(shobj_description(o.oid, 'pg_authid'), ${RECORD})
        limit 1) as owner_is,
      array(
        select o.rolname from pg_roles o
        where o.rolname = any(${ROLES})
          and not pg_has_role(current_user, o.oid,
            case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end)
        order by 1
      ) as others,
      r.rolsuper or r.rolcreaterole
        or (select count(*) from pg_roles o where o.rolname = any(${ROLES})) = ${ROLES.length} as roles,
      has_database_privilege(current_database(), 'create with grant option') as database_create,
      -- Where it is missing the doctor says so.
      coalesce(has_schema_privilege(to_regnamespace('public')::oid, 'create with grant option'), true) as public_create,
      -- A database that was first made before PostgreSQL 15 has its superuser's.
      (select n.nspowner::regrole::text from pg_namespace n where n.nspname = 'public') as public_owner,
      r.oid = (select d.datdba from pg_database d where d.datname = current_database()) as is_database_owner
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
  if (has["owner_is"])
    throw new Error(
      `role coupon_owner is called ${has["owner_is"]}, and set-up would make another one beside it: ` +
        `run 'alter role ${has["owner_is"]} rename to coupon_owner' first`,
    );
  if (has["others"].length > 0) throw new Error(await whoseRoles(sql, login, has["others"]));
  if (!has["roles"])
    throw new Error(`${login} may not create roles: as superuser run "alter role ${login} createrole"`);
  // On PostgreSQL 15 a login without INHERIT has no part in what is the owner's of its database.
  if (has["is_database_owner"] && !has["public_create"] && has["public_owner"] === DATABASE_OWNER)
    throw new Error(
      `${login} owns database ${database} and may not create in its schema public: as superuser run "alter role ${login} inherit"`,
    );
  if (!has["database_create"] || (!has["public_create"] && has["public_owner"] === DATABASE_OWNER))
    throw new Error(
      `${login} may not create in database ${database}: as superuser run "alter database ${database} owner to ${login}"`,
    );
  if (!has["public_create"])
    throw new Error(
      `${login} may not create in schema public, which ${has["public_owner"]} owns: as superuser run in database ${database} ` +
        `"alter schema public owner to ${DATABASE_OWNER}"`,
    );
}

/** Fails with one sentence where the sessions of this login take no writes: somebody may mean it, as during an upgrade. */
export async function requireWrites(sql: Sql): Promise<void> {
  const [closed] = await sql`
    select format(case s.source
        when 'user' then 'alter role %1$I reset %3$I'
        when 'database user' then 'alter role %1$I in database %2$I reset %3$I'
        when 'database' then 'alter database %2$I reset %3$I'
        when 'global' then 'alter role all reset %3$I' end, session_user, current_database(), s.name) as reset
    from pg_settings s
    where s.name = 'default_transaction_read_only' and s.setting = 'on'
  `;
  if (closed)
    throw new Error(
      "the database takes no writes, default_transaction_read_only is on: where it may take them again, " +
        (closed["reset"]
          ? `run "${closed["reset"]}"`
          : "take that out of the URL or PostgreSQL's configuration"),
    );
}

/** The roles belong to the whole server. Who may not act as them has no part in the databases that they own. */
async function whoseRoles(sql: Sql, login: string, roles: string[]): Promise<string> {
  const keeper = await keeperOf(sql);
  const list = roles.join(", ");
  return !keeper?.isThere || keeper.isOurs
    ? `${login} may not act as ${list}: give DATABASE_URL as the login that made them, ` +
        `or as superuser run "grant ${list} to ${login} with admin option"`
    : `${login} may not act as ${list}, with which login ${keeper.login} set up other databases of this server: ` +
        `give DATABASE_URL as ${keeper.login}, or of another server`;
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
      const overtaken =
        code === "23505" ||
        code === "42710" ||
        (code === "XX000" && message.startsWith("tuple concurrently"));
      if (!overtaken || attempt === 20) throw error;
    }
  }
}

/** ./sd status: says what is there, what runs, what set-up would change, and each setting's value. It changes nothing. */
import { type Sql, withConnection } from "../../db/connect.ts";
import { embeddedStatus, startEmbedded } from "../../db/embedded/embedded.ts";
import { describeHosts } from "../../db/hosts.ts";
import { LOCK_MS, unlessLocked } from "../../db/patience.ts";
import { describe, pendingOf } from "../../db/pending.ts";
import { commitWaitsFor } from "../../db/replication.ts";
import { standbyOf, type Target, targetOf } from "../../db/target.ts";
import { version } from "../api/version.ts";
import { type Env, shown } from "../env.ts";
import { explained } from "./database.ts";
import { counted, type Entry, entry as printed, shown as visible } from "./print.ts";
import { describeZone } from "./zone.ts";

export async function status(env: Env, entry: Entry = printed): Promise<number> {
  entry("data", env.DATA_DIR);
  try {
    await database(env, entry);
  } finally {
    entry("settings", "");
    for (const { name, value, isGiven } of shown(env))
      entry("", `${name.padEnd(16)} ${value} (${isGiven ? "given" : "default"})`);
  }
  return 0;
}

async function database(env: Env, entry: Entry): Promise<void> {
  const given = env.DATABASE_URL ?? env.API_DATABASE_URL;
  if (given !== undefined && targetOf(given).hosts.length > 1)
    for (const words of await describeHosts(targetOf(given))) entry("host", words);
  if (given !== undefined && env.READ_DATABASE_URL !== undefined) {
    const api = env.API_DATABASE_URL ?? targetOf(given).as("coupon_api").url;
    const standbys = standbyOf(env.READ_DATABASE_URL, targetOf(api));
    for (const words of await describeHosts(standbys)) entry("reads", words);
  }
  if (env.DATABASE_URL) return described(targetOf(env.DATABASE_URL), "", entry);
  if (env.API_DATABASE_URL) return elsewhere(targetOf(env.API_DATABASE_URL), entry);
  const { running, version } = await embeddedStatus({ dataDir: env.DATA_DIR });
  if (!running)
    return entry(
      "database",
      version === undefined ? "embedded, not made yet" : `embedded, PostgreSQL ${version}, not running`,
    );
  // It runs: this only asks for its URL.
  const { url } = await startEmbedded({ dataDir: env.DATA_DIR });
  return described(targetOf(url), "embedded, ", entry);
}

const where = ({ host, database }: Target) => `${host}/${database}`;

/** What the server's login may see. */
function elsewhere(target: Target, entry: Entry): Promise<void> {
  return withConnection(target, async (sql) => {
    const [now] = await sql`select current_setting('server_version') as version`;
    entry("database", `PostgreSQL ${now?.["version"]} at ${where(target)}, set up elsewhere`);
    const schema = await schemaOf(sql);
    entry("version", versions(schema));
    entry(
      "migrations",
      schema ? `the newest ${schema.migration}` : "none: run ./sd migrate where set-up is done",
    );
  });
}

function described(target: Target, kind: string, entry: Entry): Promise<void> {
  return withConnection(
    target,
    async (sql) => {
      const [now] = await sql`
      select
        current_setting('server_version') as version,
        exists (
          select from pg_proc p
          where p.proname = 'live_coupons' and p.pronamespace = to_regnamespace('public')
        ) as is_set_up
    `;
      entry("database", `${kind}PostgreSQL ${now?.["version"]} at ${where(target)}`);
      entry("version", await unlessLocked(schemaOf(sql).then(versions), HELD));
      try {
        for (const [part, words] of Object.entries(describe(await pendingOf(target)))) entry(part, words);
      } catch (error) {
        entry("set-up", `can't be compared: ${explained(error as Error)}`);
      }
      for (const words of await servers(sql)) entry("server", words);
      entry("commit", await commits(sql));
      entry("transaction", await longestTransaction(sql));
      for (const words of await waits(sql)) entry("locks", words);
      if (!now?.["is_set_up"]) return entry("content", "none: run ./sd migrate, or ./sd for the demo");
      const read = content(target).catch((error: Error): [string, string][] => {
        if (explained(error) === error.message) throw error;
        return [["content", `can't be read: ${explained(error)}`]];
      });
      for (const [name, words] of await unlessLocked<[string, string][]>(read, [["content", HELD]]))
        entry(name, words);
    },
    { lockMs: LOCK_MS },
  );
}

/** Status waits for nobody: it is what tells who holds something. */
const HELD = "can't be read, somebody holds its tables: see the longest transaction";

interface Schema {
  release: string;
  migration: string;
}

/** What the database says that it is; nothing where set-up never ran. */
async function schemaOf(sql: Sql): Promise<Schema | undefined> {
  const [row] = await sql<Schema[]>`select release, migration from schema_version()`.catch(
    (error: { code?: string }) => {
      // No such function, or its table is gone or has a schema of another name.
      if (error.code !== "42883" && error.code !== "42P01") throw error;
      return [];
    },
  );
  return row;
}

const versions = (schema: Schema | undefined) =>
  `${version} here, ${schema ? `${schema.release} in the database` : "none in the database"}`;

/** A line for each server process: where it is, and what its connections do. */
async function servers(sql: Sql): Promise<string[]> {
  const rows = await sql`
    select
      format('%s at %s', s.name, s.address) as server,
      sum(s.n)::integer as connections,
      string_agg(s.n || ' ' || s.state, ', ' order by s.state) as states
    from (
      select
        replace(a.application_name, 'coupon-server', 'process') as name, coalesce(host(a.client_addr), 'a socket') as address,
        coalesce(a.state, 'of which nothing is told') as state, count(*) as n
      from pg_stat_activity a
      where a.datname = current_database() and a.application_name like 'coupon-server%'
      group by 1, 2, 3
    ) s
    group by 1
    order by 1
  `;
  if (rows.length === 0) return ["none is connected"];
  return rows.map((row) => `${row["server"]}: ${row["connections"]} connections, ${row["states"]}`);
}

/** What a commit waits for, and who waits for that. */
export async function commits(sql: Sql): Promise<string> {
  const [row] = await sql`
    select
      current_setting('synchronous_standby_names') as standbys, count(a.pid)::integer as waiters,
      round(extract(epoch from max(clock_timestamp() - a.query_start)), 1)::text as seconds
    from (select) one
    left join pg_stat_activity a on a.wait_event = 'SyncRep'
  `;
  const what = `waits for ${commitWaitsFor(row?.["standbys"])}`;
  return row?.["waiters"] === 0
    ? what
    : `${what}; sessions that do: ${row?.["waiters"]}, the longest for ${row?.["seconds"]} s`;
}

/** A prepared one has no session: it holds what it locked until somebody ends it by its name, also after a restart. */
async function longestTransaction(sql: Sql): Promise<string> {
  const [row] = await sql`
    select t.what, round(extract(epoch from clock_timestamp() - t.since), 1)::text as seconds
    from (
      select a.xact_start, format('%s, %s (%s), pid %s', a.state, a.usename, a.application_name, a.pid)
      from pg_stat_activity a
      where a.datname = current_database() and a.backend_type = 'client backend'
        and a.xact_start is not null and a.pid <> pg_backend_pid()
      union all
      select p.prepared, format('prepared as %L, %s', p.gid, p.owner)
      from pg_prepared_xacts p
      where p.database = current_database()
    ) t (since, what)
    order by t.since
    limit 1
  `;
  return row ? `open for ${row["seconds"]} s: ${visible(row["what"])}` : "none is open";
}

/** Who waits for whom, the longest first. */
async function waits(sql: Sql): Promise<string[]> {
  const rows = await sql`
    select
      l.pid, a.usename, a.application_name, l.locktype, l.relation::regclass::text as relation,
      round(extract(epoch from clock_timestamp() - l.waitstart), 1)::text as seconds,
      (select string_agg(case h.pid when 0 then 'a prepared transaction' else 'pid ' || h.pid end, ', ')
        from unnest(pg_blocking_pids(l.pid)) h (pid)) as holders
    from pg_locks l
    join pg_stat_activity a on a.pid = l.pid
    where not l.granted and a.datname = current_database()
    order by l.waitstart
    limit 20
  `;
  if (rows.length === 0) return ["none is waited for"];
  return rows.map(
    (row) =>
      `${row["usename"]} (${row["application_name"]}), pid ${row["pid"]}, waits ${row["seconds"] ?? 0} s for ` +
      `${row["relation"] ?? `a lock (${row["locktype"]})`}, held by ${row["holders"]}`,
  );
}

function content(target: Target): Promise<[name: string, words: string][]> {
  return withConnection(
    target,
    async (sql) => {
      const [now] = await sql`
        select (select time_zone from coupon.settings) as time_zone, (select count(*) from coupon.users) as users, (
          select count(*) from coupon.coupons c where c.start_time <= clock_timestamp() and c.expiry > clock_timestamp()
        ) as live`;
      return [
        ["time zone", await describeZone(sql, now?.["time_zone"])],
        ["content", `${counted(now?.["users"], "user")}, ${counted(now?.["live"], "coupon")} live`],
        ["plan", await plan(sql)],
      ];
    },
    { role: "coupon_owner", lockMs: LOCK_MS },
  );
}

/** What is planned, and until when it was made. */
async function plan(sql: Sql): Promise<string> {
  const [row] = await sql`
    select (select count(*)::integer from coupon.plan) as entries, to_char(max(m.day), 'YYYY-MM-DD') as last_day
    from coupon.planned m
  `.catch((error: { code?: string }) => {
    if (error.code !== "42P01") throw error;
    return [];
  });
  if (!row) return "none: run ./sd migrate";
  const until = row["last_day"] === null ? "no day is filled" : `filled until ${row["last_day"]}`;
  return `${counted(row["entries"], "coupon")} a week, ${until}`;
}

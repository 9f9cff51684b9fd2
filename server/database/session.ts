/** Sessions of the server: how they are opened, and what a database must be before the first call is sent to it. */
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";
import { type Hosts, socketsTo } from "../../db/hosts.ts";
import { commitWaitsFor, isUnreplicated } from "../../db/replication.ts";
import type { Target } from "../../db/target.ts";
import { parseExact, stringifyExact } from "../api/exact.ts";
import { DatabaseError, READ_ONLY } from "./errors.ts";

/** What the sessions of a driver's pool tell besides answers. */
export interface Told {
  /** A connection was lost or closed. */
  closed(): void;
  /** A commit was let through before the synchronous standbys had it. Told before the answer; the driver does not say of which session. */
  unreplicated(): void;
}

/**
 * A driver's pool. Nothing that the server asks or is told depends on a setting of the session: a pooler may drop settings, and a
 * database may have others. So no setting is asked for, which a pooler could refuse.
 */
export function open(target: Target, max: number, told: Told, hosts?: Hosts): postgres.Sql {
  const { connection, ...options } = target.driverOptions();
  let isOver = false;
  const sql = postgres({
    max,
    connect_timeout: 2,
    idle_timeout: 0,
    ...options,
    // Short, to reconnect soon after an outage; the driver's own back-off grows without limit.
    backoff: (retries: number) => Math.min(0.05 * 2 ** retries, 0.5),
    onnotice: (notice) => {
      if (isUnreplicated(notice)) told.unreplicated();
    },
    onclose: told.closed,
    // With fetch_types the driver (postgres 3.4.9, porsager/postgres#1192) first runs a query for array types on each connection. If that
    // connection is lost meanwhile, nobody handles the rejection, which would end the process.
    fetch_types: false,
    ...({ socket: socketsTo(hosts, () => isOver) } as object), // the driver has this option, its types do not
    connection: { ...connection, application_name: `coupon-server ${process.pid}` },
    types: {
      jsonb: { to: 3802, from: [3802], serialize: stringifyExact, parse: parseExact },
      number: { to: 1700, from: [20, 1700], serialize: String, parse: parseNumber },
      // Their text depends on settings of the session: a query asks for them in another form.
      time: { to: 1184, from: [1082, 1083, 1114, 1184, 1186, 1266], serialize: String, parse: refuseText },
    },
  });
  const { end } = sql;
  sql.end = (options) => {
    isOver = true;
    return end(options);
  };
  return sql;
}

/** Reads a bigint or a numeric. It throws instead of answering something else. */
export function parseNumber(text: string): number {
  const number = Number(text);
  if (text.trim() === "" || !Number.isFinite(number) || Math.abs(number) > Number.MAX_SAFE_INTEGER)
    throw new RangeError(`the database answered ${text}, which is no number here`);
  return number;
}

function refuseText(text: string): never {
  throw new TypeError(`the database answered ${text}: a time whose form depends on settings of the session`);
}

/** Whether the driver (postgres 3.4.9) gave the call to a session. Before that, nothing of it can have reached the database. */
export function wasSent(call: object): boolean {
  return (call as { state?: unknown }).state !== null;
}

/** What the calls of a pool need. Lists can be read from a database that takes no writes; from a standby only by who asks how far it is. */
export type Needs = "writes" | "reads" | "standby";

/** What commits wait for. */
interface Commits {
  /** In words: "this server only". */
  waitFor: string;
  /** Whether a commit of this login waits for a standby that does not answer. */
  isStalled: boolean;
}

/** Between two looks at who waits for a standby, ms. PostgreSQL does not tell since when: a long statement may have begun to just now. */
const LOOK_AGAIN_MS = 100;

/** Throws unless the database, and the sessions that it gives this login, are what the calls rely on. */
export async function prove(sql: postgres.Sql, needs: Needs): Promise<Commits> {
  const [session] = await sql`
    select
      pg_catalog.current_setting('transaction_isolation') as isolation,
      pg_catalog.current_setting('client_encoding') as encoding,
      pg_catalog.current_setting('client_min_messages') as messages,
      pg_catalog.current_setting('exit_on_error') as exits,
      pg_catalog.current_setting('transaction_read_only') as read_only,
      pg_catalog.pg_is_in_recovery()::text as is_standby,
      pg_catalog.current_setting('synchronous_standby_names') as standbys
  `;
  const told = session as Record<string, string>;
  const { isolation, encoding, messages, exits, read_only, is_standby, standbys = "" } = told;
  if (is_standby === "true" && needs !== "standby")
    throw new DatabaseError("unavailable", READ_ONLY, "The database is a standby.");
  if (read_only === "on" && needs === "writes") throw await closedToWrites(sql);
  if (isolation !== "read committed")
    throw await unfit(sql, "default_transaction_isolation", isolation, "read committed");
  // A warning alone says that the commit of an answer may be lost.
  if (messages === "error") throw await unfit(sql, "client_min_messages", messages, "warning");
  // A refused argument would end the session, with all that is known by it.
  if (exits === "on") throw await unfit(sql, "exit_on_error", exits, "off");
  if (encoding !== "UTF8") throw await unfit(sql, "client_encoding", encoding, "UTF8");
  return { waitFor: commitWaitsFor(standbys), isStalled: await isStalled(sql) };
}

/** Whether one of this login's sessions that wait for a standby waits on, with the same statement. */
async function isStalled(sql: postgres.Sql): Promise<boolean> {
  const before = await waits(sql);
  if (before.length === 0) return false;
  await sleep(LOOK_AGAIN_MS);
  const after = await waits(sql);
  return after.some((wait) => before.includes(wait));
}

/** The sessions whose statement began 2 s ago: a lock is not waited for any longer. */
async function waits(sql: postgres.Sql): Promise<string[]> {
  const sessions = await sql`
    select w.wait from (${sql.unsafe(COMMITS_THAT_WAIT)}) w where w.since < pg_catalog.clock_timestamp() - interval '2 s'`;
  return sessions.map(({ wait }) => wait);
}

/** This login's sessions that wait for a standby, and since when their statement runs. The same `wait` is the same statement. */
export const COMMITS_THAT_WAIT = `
  select pg_catalog.concat(a.pid, ' ', pg_catalog.date_part('epoch', a.query_start)) as wait, a.query_start as since
  from pg_catalog.pg_stat_activity a
  where a.wait_event = 'SyncRep' and a.usename = session_user`;

/** It may be meant so, unless it is set for the login alone. */
async function closedToWrites(sql: postgres.Sql): Promise<DatabaseError> {
  const { of_login, reset } = await whence(sql, "default_transaction_read_only");
  const why = of_login
    ? `The sessions of this login have default_transaction_read_only on: ${reset}.`
    : "The database takes no writes: default_transaction_read_only is on.";
  return new DatabaseError("unavailable", READ_ONLY, why);
}

async function unfit(
  sql: postgres.Sql,
  setting: string,
  has: string | undefined,
  wanted: string,
): Promise<DatabaseError> {
  const { source, login, reset } = await whence(sql, setting);
  const cure =
    source === "client" || source === "session"
      ? "it comes with the connection, by its URL or a pooler"
      : source === "database user"
        ? reset
        : `alter role ${login} set ${setting} = '${wanted}'`;
  return new DatabaseError(
    "unavailable",
    "",
    `The sessions of this login have ${setting} ${has}, and the server needs ${wanted}: ${cure}.`,
    setting,
  );
}

/** Where the sessions of this login have a setting from. What is set for the login in this database wins over what is set elsewhere. */
async function whence(sql: postgres.Sql, setting: string) {
  const [row] = await sql<{ source: string; of_login: boolean; login: string; reset: string }[]>`
    select s.source, s.source in ('user', 'database user') as of_login, quote_ident(session_user) as login,
      format(
        case s.source when 'database user' then 'alter role %I in database %I reset %3$I' else 'alter role %I reset %3$I' end,
        session_user, current_database(), s.name) as reset
    from pg_catalog.pg_settings s
    where s.name = ${setting}
  `;
  if (!row) throw new Error(`PostgreSQL knows no setting ${setting}`);
  return row;
}

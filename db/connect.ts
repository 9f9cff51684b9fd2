/** Connections of set-up, commands, tests and benches. The server has its own in server/database/pool.ts. */
import postgres from "postgres";
import { adviceFor } from "./errors.ts";
import { COMMANDING, createHosts, socketsTo } from "./hosts.ts";
import { isUnreplicated } from "./replication.ts";
import { failingSocket, type SocketOptions } from "./socket.ts";
import { LOGINS, type Target, targetOf } from "./target.ts";

export type Sql = postgres.Sql;
/** A session or a transaction. */
export type Session = postgres.ISql;

export interface Options {
  max?: number;
  /** A role to act as, of which the login is a member. */
  role?: string;
  /**
   * With false the driver (postgres 3.4.9) does not ask for the server's types at first. Arrays are then texts; but where
   * PostgreSQL may go down meanwhile, no failure of that query is left that nobody can catch (porsager/postgres#1192).
   */
  fetchTypes?: boolean;
  /** lock_timeout, ms. Default: none. */
  lockMs?: number;
  /** Whether no other session takes the place of the first, of a pool of one: see withSession(). */
  isOnly?: boolean;
}

/**
 * PostgreSQL's own defaults of the settings that change what a statement means, who asks or how values are written. Operators of
 * PostgreSQL let logins begin as a group (alter role … set role): set-up acts as the login that the URL names.
 */
export const PLAIN_SETTINGS = {
  role: "none",
  exit_on_error: "off",
  DateStyle: "ISO, MDY",
  IntervalStyle: "postgres",
  TimeZone: "UTC",
  extra_float_digits: "1",
  standard_conforming_strings: "on",
  quote_all_identifiers: "off",
  array_nulls: "on",
  bytea_output: "hex",
  search_path: '"$user", public',
  client_min_messages: "notice",
  default_transaction_isolation: "read committed" as const,
};

/**
 * Work that takes its time is not given up in the middle, whatever limit a provider or an operator has set for the login or the database.
 * Each step has a limit of its own (patience.ts), and what our logins may take is theirs. A text, since the driver drops a number 0.
 */
export const NO_LIMIT = {
  statement_timeout: "0",
  idle_session_timeout: "0",
  idle_in_transaction_session_timeout: "0",
};

/** A small pool. A target that doesn't say otherwise uses TLS where the server offers it, as psql does. */
export function connect(to: Target | string, options: Options = {}): Sql {
  const target = typeof to === "string" ? targetOf(to) : to;
  const { connection, ...given } = target.driverOptions();
  const hosts = target.hosts.length > 1 ? createHosts(target, COMMANDING) : undefined;
  const open = socketsTo(hosts);
  let hasBegun = false;
  const openOnce = (given: SocketOptions) => (hasBegun ? failingSocket(lost()) : open(given));
  return postgres({
    max: options.max ?? 1,
    connect_timeout: 10,
    ...given,
    max_lifetime: null, // a session may hold a lock for as long as it wants
    fetch_types: options.fetchTypes ?? true,
    onnotice: tellUnreplicated,
    onparameter: (name, value) => {
      hasBegun = true;
      tellStandby(name, value);
    },
    ...({ socket: options.isOnly ? openOnce : open } as object), // the driver has this option, its types do not
    // Whatever the database sets for its sessions: these are read by the driver and by us.
    connection: {
      ...connection,
      application_name: "coupon-setup",
      ...PLAIN_SETTINGS,
      ...(isOurs(target) ? {} : (NO_LIMIT as object)),
      ...(options.role ? { role: options.role } : {}),
      ...(options.lockMs ? { lock_timeout: options.lockMs } : {}),
    },
  });
}

const isOurs = ({ login }: Target) => LOGINS.some((each) => each === login);

/** The limit of transactions, which came with PostgreSQL 17: an older one would refuse it as a parameter of the connection. */
const liftLimit = (sql: Sql) => sql`
  select set_config('transaction_timeout', '0', false) where current_setting('transaction_timeout', true) <> '0'`;

const lost = () => Object.assign(new Error("the session was lost"), { code: "CONNECTION_CLOSED" });

/** Who calls must know that what was answered may not last. psql shows the warning by itself. */
function tellUnreplicated(notice: postgres.Notice): void {
  if (!isUnreplicated(notice)) return;
  console.error(
    "warning: the wait for the synchronous standby was cancelled. What was done is committed here, and a failover may lose it.",
  );
}

let isStandbyTold = false;

/** Every session is told so by PostgreSQL itself. It may be the one host of the URL, and a copy that stands still looks like any other. */
function tellStandby(name: string, value: unknown): void {
  if (name !== "in_hot_standby" || value !== "on" || isStandbyTold) return;
  isStandbyTold = true;
  console.error("warning: this is a standby: what it says may be old");
}

/** Runs `work` on one connection and closes it. */
export async function withConnection<T>(
  to: Target | string,
  work: (sql: Sql) => Promise<T>,
  options: Omit<Options, "max"> = {},
): Promise<T> {
  const target = typeof to === "string" ? targetOf(to) : to;
  const sql = connect(target, { max: 1, ...options });
  try {
    if (!isOurs(target)) await liftLimit(sql);
    return await work(sql);
  } catch (error) {
    throw explained(error, target);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/**
 * The same in one session: where that is lost, by a limit, an operator or a failover, whatever comes afterwards fails. The driver (postgres
 * 3.4.9) would go on in another one, without the transaction and the locks of the first: what was to be rolled back would be done.
 */
export function withSession<T>(to: Target | string, work: (sql: Sql) => Promise<T>): Promise<T> {
  return withConnection(to, work, { isOnly: true });
}

/** Runs `work` as coupon_owner, in a transaction of a login that is its member. */
export async function asOwner<T>(sql: Sql, work: (owner: Session) => Promise<T>): Promise<T> {
  return (await sql.begin(async (owner) => {
    await owner`set local role coupon_owner`;
    return work(owner);
  })) as T;
}

/** A connection that failed, as one sentence that says what to do and never the password. Other errors stay as they are. */
export function explained(error: unknown, to: Target | string): unknown {
  const { code = "", message = "" } = error as { code?: string; message?: string };
  const sentence = adviceFor(code, message, typeof to === "string" ? targetOf(to) : to);
  return sentence === undefined ? error : Object.assign(new Error(sentence, { cause: error }), { code });
}

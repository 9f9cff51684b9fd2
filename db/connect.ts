/** Connections of set-up, tests and benches; the server has its own in server/database/pool.ts. */
import { scryptSync } from "node:crypto";
import postgres from "postgres";
import { type TURNED_AWAY, UNREACHABLE } from "./errors.ts";

export type Sql = postgres.Sql;

/** A small pool as whoever the URL says. A URL without sslmode uses TLS where the server offers it, as psql does. */
export function connect(url: string, options: { max?: number; role?: string } = {}): Sql {
  const hasSslMode = new URL(url).searchParams.has("sslmode");
  return postgres(url, {
    max: options.max ?? 1,
    connect_timeout: 10,
    max_lifetime: null, // a session may hold a lock for as long as it wants
    onnotice: () => {},
    ...(hasSslMode ? {} : { ssl: "prefer" as const }),
    connection: { application_name: "coupon-setup", ...(options.role ? { role: options.role } : {}) },
  });
}

/** Runs `work` on one connection and closes it. */
export async function withConnection<T>(
  url: string,
  work: (sql: Sql) => Promise<T>,
  options: { role?: string } = {},
): Promise<T> {
  const sql = connect(url, { max: 1, ...options });
  try {
    return await work(sql);
  } catch (error) {
    throw explained(error, url);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** A connection that failed, as one sentence that says what to do and never the password; other errors as they are. */
export function explained(error: unknown, url: string): unknown {
  const { code, message } = error as { code?: string; message?: string };
  const { host, username } = new URL(url);
  const login = decodeURIComponent(username);
  const database = databaseOf(url);
  const turnedAway: Record<(typeof TURNED_AWAY)[number], string> = {
    "28P01": login.startsWith("coupon_")
      ? `${login} can't log in at ${host} yet: run ./sd, which sets up`
      : `${login} can't log in at ${host}: correct the password in DATABASE_URL`,
    "28000": `${login} can't log in at ${host}: ${message}`,
    "3D000": `there is no database ${database} at ${host}: create it, owned by ${login}, or correct DATABASE_URL`,
    "53300": `${host} has no connection left: end one, or raise max_connections`,
    "57P03": `${host} is starting up or shutting down: try again`,
  };
  const unreachable = `no PostgreSQL answers at ${host} (${code}): start it, or correct DATABASE_URL`;
  const closed = `${host} closed the connection: see its log`;
  const sentences: Record<string, string> = {
    ...Object.fromEntries([...UNREACHABLE, "ETIMEDOUT"].map((each) => [each, unreachable])),
    ENOTFOUND: `there is no host ${host}: correct DATABASE_URL`,
    ...turnedAway,
    CONNECTION_CLOSED: closed,
    ECONNRESET: closed,
  };
  const sentence = sentences[code ?? ""];
  return sentence === undefined ? error : new Error(sentence, { cause: error });
}

/** A URL without database means the one that is called like the login, as it does for psql. */
export function databaseOf(url: string): string {
  const { pathname, username } = new URL(url);
  return decodeURIComponent(pathname.length > 1 ? pathname.slice(1) : username);
}

/**
 * The URL of a login role of ours on the same database. Its password is derived from the one in the set-up URL
 * (scrypt, RFC 7914, so that a weak one stays as hard to guess), hence nothing has to be stored or shared: every
 * checkout that was given the same DATABASE_URL comes to the same. A URL without password gives one without.
 */
export function roleUrl(setupUrl: string, role: "coupon_api" | "coupon_admin"): string {
  const url = new URL(databaseUrl(setupUrl, databaseOf(setupUrl)));
  url.username = role;
  if (url.password !== "") {
    url.password = scryptSync(decodeURIComponent(url.password), `coupon-drop ${role}`, 32).toString("hex");
  }
  return url.href;
}

/** The URL for another database of the same server. */
export function databaseUrl(url: string, database: string): string {
  const other = new URL(url);
  other.pathname = `/${encodeURIComponent(database)}`;
  return other.href;
}

/** Connections of set-up, tests and benches; the server has its own in server/db.ts. */
import { scryptSync } from "node:crypto";
import postgres from "postgres";

export type Sql = postgres.Sql;

/** A small pool as whoever the URL says. A URL without sslmode uses TLS where the server offers it, as psql does. */
export function connect(url: string, options: { max?: number; role?: string } = {}): Sql {
  const hasSslMode = new URL(url).searchParams.has("sslmode");
  return postgres(url, {
    max: options.max ?? 1,
    connect_timeout: 10,
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
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/**
 * The URL of a login role of ours on the same database. Its password is derived from the one in the set-up URL
 * (scrypt, RFC 7914, so that a weak one stays as hard to guess), hence nothing has to be stored or shared: every
 * checkout that was given the same DATABASE_URL comes to the same. A URL without password gives one without.
 */
export function roleUrl(setupUrl: string, role: "coupon_api" | "coupon_admin"): string {
  const url = new URL(setupUrl);
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

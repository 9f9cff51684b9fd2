/** Which database, and as whom: a URL, read once. Everything that sets up, compares or connects is given a target. */
import { createHmac, scryptSync } from "node:crypto";
import {
  type DriverOptions,
  libpqVariables,
  migrationParameters,
  parameterOptions,
  readParameters,
} from "./parameters.ts";
import { hostAndPort, isSocket, readUrl, type UrlParts, writeUrl } from "./url.ts";

// The URL says all. The drivers (postgres 3.4.9; lib/pq of dbmate 2.36) and psql would mix in what the environment says: with PGHOSTADDR
// or PGSERVICE they connect elsewhere, and dbmate refuses any PGCLIENTENCODING but UTF8.
for (const name of Object.keys(process.env)) if (name.startsWith("PG")) delete process.env[name];

/** The roles of ours that log in: the server's, with EXECUTE on its functions and nothing else, and operators' and DBAs'. */
export const LOGINS = ["coupon_api", "coupon_admin"] as const;
export type Login = (typeof LOGINS)[number];

export interface Target {
  /** The URL with all its parameters. It names its login and its database. */
  readonly url: string;
  /** What the driver takes: the URL's parts, decoded, and what its parameters were translated to. */
  driverOptions(): DriverOptions;
  /** The server, in words for a person: "db.example:5432". */
  readonly host: string;
  readonly database: string;
  readonly login: string;
  /** "" where there is none. */
  readonly password: string;
  /**
   * The same database, as a login of ours. Its password is derived from this login's (scrypt, RFC 7914, so that a weak one
   * stays as hard to guess; once for both, since it takes its time). So nothing has to be stored or shared: every checkout that was given the same DATABASE_URL comes
   * to the same. A target without password gives one without.
   */
  as(login: Login): Target;
  /** Another database of the same server, as the same login. */
  on(database: string): Target;
  /** The same server and database, as somebody else. */
  withLogin(login: string, password: string): Target;
  /** The URL for dbmate: of its parameters those that dbmate's driver knows, and more. */
  migrationUrl(isEncrypted: boolean, more: Record<string, string>): string;
  /** What libpq's programs take from the environment, where other users of the machine cannot read the password. */
  libpqVariables(): Record<string, string>;
}

/**
 * A URL without database means the one that is called like the login, as it does for psql; one without host means this machine by TCP.
 */
export function targetOf(url: string): Target {
  return targetAt(readUrl(url));
}

function targetAt(parts: UrlParts): Target {
  const { host, database, login, password } = parts;
  const parameters = readParameters(parts.parameters);
  const port = parts.port || "5432";
  const logins = new Map<Login, Target>();
  let key: Buffer | undefined;
  const passwordOf = (other: Login): string => {
    if (password === "") return "";
    key ??= scryptSync(password, "coupon-drop", 32);
    return createHmac("sha256", key).update(other).digest("hex");
  };
  const target: Target = {
    url: writeUrl(parts),
    host: hostAndPort(parts),
    database,
    login,
    password,
    driverOptions: () => ({
      host: [host] as string & [string],
      port: [Number(port)] as number & [number],
      database,
      user: login,
      password,
      ...parameterOptions(parameters),
      // libpq ignores sslmode there too.
      ...(isSocket(host) ? { path: `${host}/.s.PGSQL.${port}`, ssl: false } : {}),
    }),
    as(other) {
      const made = logins.get(other) ?? target.withLogin(other, passwordOf(other));
      logins.set(other, made);
      return made;
    },
    on: (other) => targetAt({ ...parts, database: other }),
    withLogin: (other, itsPassword) => targetAt({ ...parts, login: other, password: itsPassword }),
    migrationUrl: (isEncrypted, more) => {
      const mode = parameters.get("sslmode") ?? "";
      // dbmate's driver (lib/pq, dbmate 2.36) takes TLS for granted unless it is told, and knows neither allow nor prefer.
      const isOpen = ["", "allow", "prefer"].includes(mode) || isSocket(host);
      const sslmode = isOpen ? (isEncrypted ? "require" : "disable") : mode;
      // The host as a parameter, since dbmate 2.36 takes the brackets of an IPv6 address away, and then cannot tell its port.
      const all = { host, ...migrationParameters(parameters), sslmode, ...more };
      const known = isSocket(host) ? "localhost" : host;
      return writeUrl({ ...parts, host: known, parameters: new Map(Object.entries(all)) });
    },
    libpqVariables: () => ({
      PGHOST: host,
      PGPORT: port,
      PGUSER: login,
      PGPASSWORD: password,
      PGDATABASE: database,
      ...libpqVariables(parameters),
    }),
  };
  return target;
}

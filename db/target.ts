/** Which database, and as whom: a URL, read once. Everything that sets up, compares or connects is given a target. */
import { createHmac, scryptSync } from "node:crypto";
import {
  type DriverOptions,
  libpqVariables,
  migrationParameters,
  parameterOptions,
  readParameters,
} from "./parameters.ts";
import { hostsAndPorts, isSocket, readUrl, type UrlParts, writeUrl } from "./url.ts";

// The URL says all. The drivers (postgres 3.4.9; lib/pq of dbmate 2.36) and psql would mix in what the environment says: with PGHOSTADDR
// or PGSERVICE they connect elsewhere, and dbmate refuses any PGCLIENTENCODING but UTF8.
for (const name of Object.keys(process.env)) if (name.startsWith("PG")) delete process.env[name];

/** The roles of ours that log in: the server's, with EXECUTE on its functions and nothing else, and operators' and DBAs'. */
export const LOGINS = ["coupon_api", "coupon_admin"] as const;
export type Login = (typeof LOGINS)[number];

export type Wanted = "primary" | "read-write" | "standby";

export interface Target {
  /** The URL with all its parameters. It names its login and its database. */
  readonly url: string;
  /** What the driver takes: the URL's parts, decoded, and what its parameters were translated to. Of several hosts the first. */
  driverOptions(): DriverOptions;
  /** The server, in words for a person: "db.example:5432", "a:5432,b:5432". */
  readonly host: string;
  /** The same at each of the URL's hosts alone, in its order. */
  readonly hosts: readonly Target[];
  /** Which of them: one that is no standby; one that takes writes, too; a standby. */
  readonly wanted: Wanted;
  /** Whether the order of hosts is left to chance, anew in each process. */
  readonly isRandom: boolean;
  readonly database: string;
  readonly login: string;
  /** "" where there is none. */
  readonly password: string;
  /**
   * The same database, as a login of ours. Its password is derived from this login's (scrypt, RFC 7914, so that a weak one
   * stays as hard to guess; once for both, since it takes its time). So nothing has to be stored or shared: every checkout that was
   * given the same DATABASE_URL comes to the same. A target without password gives one without.
   */
  as(login: Login): Target;
  /** Another database of the same server, as the same login. */
  on(database: string): Target;
  /** The same server and database, as somebody else. */
  withLogin(login: string, password: string): Target;
  /** The URL for dbmate, at the first host: of its parameters those that dbmate's driver knows, and more. */
  migrationUrl(isEncrypted: boolean, more: Record<string, string>): string;
  /** What libpq's programs take from the environment, where other users of the machine cannot read the password. */
  libpqVariables(): Record<string, string>;
}

/**
 * A URL without database means the one that is called like the login, as it does for psql; one without host means this machine by TCP.
 */
export function targetOf(url: string): Target {
  const parts = readUrl(url);
  const attributes = parts.parameters.get("target_session_attrs") ?? "any";
  if (OF_STANDBYS.includes(attributes))
    throw new Error(
      `target_session_attrs=${attributes}: the database must take writes: leave it out, or say read-write`,
    );
  return targetAt(parts, attributes === "read-write" ? attributes : "primary");
}

/** Standbys of the database of `primary`, as the same login where the URL names none. */
export function standbyOf(url: string, primary: Pick<Target, "login" | "password" | "database">): Target {
  const parts = readUrl(url, primary);
  const attributes = parts.parameters.get("target_session_attrs") ?? "any";
  if (attributes === "primary" || attributes === "read-write")
    throw new Error(`target_session_attrs=${attributes}: it is for standbys: leave it out, or say standby`);
  return targetAt(parts, "standby");
}

/** Values of target_session_attrs that may lead to a standby only. */
const OF_STANDBYS = ["read-only", "standby", "prefer-standby"];

function targetAt(parts: UrlParts, wanted: Wanted): Target {
  const { hosts, database, login, password } = parts;
  const parameters = readParameters(parts.parameters);
  const [{ host, port: given }] = hosts as [UrlParts["hosts"][number]];
  const port = given || "5432";
  const logins = new Map<Login, Target>();
  let key: Buffer | undefined;
  const passwordOf = (other: Login): string => {
    if (password === "") return "";
    key ??= scryptSync(password, "coupon-drop", 32);
    return createHmac("sha256", key).update(other).digest("hex");
  };
  const target: Target = {
    url: writeUrl(parts),
    host: hostsAndPorts(hosts),
    get hosts() {
      if (hosts.length === 1) return [target];
      return hosts.map((each) => targetAt({ ...parts, hosts: [each] }, wanted));
    },
    wanted,
    isRandom: parameters.get("load_balance_hosts") === "random",
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
    on: (other) => targetAt({ ...parts, database: other }, wanted),
    withLogin: (other, itsPassword) => targetAt({ ...parts, login: other, password: itsPassword }, wanted),
    migrationUrl: (isEncrypted, more) => {
      const mode = parameters.get("sslmode") ?? "";
      // dbmate's driver (lib/pq, dbmate 2.36) takes TLS for granted unless it is told, and knows neither allow nor prefer.
      const isOpen = ["", "allow", "prefer"].includes(mode) || isSocket(host);
      const sslmode = isOpen ? (isEncrypted ? "require" : "disable") : mode;
      // The host as a parameter, since dbmate 2.36 takes the brackets of an IPv6 address away, and then cannot tell its port.
      const all = { host, ...migrationParameters(parameters), sslmode, ...more };
      const known = [{ host: isSocket(host) ? "localhost" : host, port: given }];
      return writeUrl({ ...parts, hosts: known, parameters: new Map(Object.entries(all)) });
    },
    libpqVariables: () => ({
      PGHOST: hosts.map((each) => each.host).join(","),
      PGPORT: hosts.map((each) => each.port || "5432").join(","),
      PGUSER: login,
      PGPASSWORD: password,
      PGDATABASE: database,
      // Of several hosts libpq would take the first that answers.
      ...(hosts.length > 1 ? { PGTARGETSESSIONATTRS: wanted } : {}),
      ...libpqVariables(parameters),
    }),
  };
  return target;
}

/** Which database, and as whom: a URL, read once. Everything that sets up, compares or connects is given a target. */
import { createHmac, scryptSync } from "node:crypto";
import {
  type DriverOptions,
  libpqVariables,
  migrationParameters,
  parameterOptions,
  readParameters,
} from "./parameters.ts";

/** The roles of ours that log in: the server's, with EXECUTE on its functions and nothing else, and operators' and DBAs'. */
export const LOGINS = ["coupon_api", "coupon_admin"] as const;
export type Login = (typeof LOGINS)[number];

export interface Target {
  /** The URL with all its parameters. It names its database. */
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

/** A URL without database means the one that is called like the login, as it does for psql. */
export function targetOf(given: string): Target {
  const url = new URL(given);
  const parameters = readParameters(url);
  const login = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password);
  const database = decodeURIComponent(url.pathname.slice(1)) || login;
  const hostname = url.hostname.replace(/^\[|\]$/g, "") || "localhost"; // an IPv6 address stands in brackets
  const port = url.port || "5432";
  url.pathname = `/${encodeURIComponent(database)}`;
  const logins = new Map<Login, Target>();
  let key: Buffer | undefined;
  const passwordOf = (other: Login): string => {
    if (password === "") return "";
    key ??= scryptSync(password, "coupon-drop", 32);
    return createHmac("sha256", key).update(other).digest("hex");
  };
  const edited = (edit: (copy: URL) => void): string => {
    const copy = new URL(url);
    edit(copy);
    return copy.href;
  };
  const target: Target = {
    url: url.href,
    host: url.host,
    database,
    login,
    password,
    driverOptions: () => ({
      host: [hostname] as string & [string],
      port: [Number(port)] as number & [number],
      database,
      user: login,
      password,
      ...parameterOptions(parameters),
    }),
    as(other) {
      const made = logins.get(other) ?? target.withLogin(other, passwordOf(other));
      logins.set(other, made);
      return made;
    },
    on: (other) =>
      targetOf(
        edited((copy) => {
          copy.pathname = `/${encodeURIComponent(other)}`;
        }),
      ),
    withLogin: (other, itsPassword) =>
      targetOf(
        edited((copy) => {
          copy.username = encodeURIComponent(other);
          copy.password = encodeURIComponent(itsPassword);
        }),
      ),
    migrationUrl: (isEncrypted, more) =>
      edited((copy) => {
        const mode = parameters.get("sslmode") ?? "";
        // dbmate's driver (lib/pq, dbmate 2.36) takes TLS for granted unless it is told, and knows neither allow nor prefer.
        const sslmode = ["", "allow", "prefer"].includes(mode) ? (isEncrypted ? "require" : "disable") : mode;
        // As a parameter, since dbmate 2.36 takes the brackets of an IPv6 address away, and then cannot tell its port.
        const all = { host: hostname, ...migrationParameters(parameters), sslmode, ...more };
        copy.search = `${new URLSearchParams(all)}`;
      }),
    libpqVariables: () => ({
      PGHOST: hostname,
      PGPORT: port,
      PGUSER: login,
      PGPASSWORD: password,
      PGDATABASE: database,
      ...libpqVariables(parameters),
    }),
  };
  return target;
}

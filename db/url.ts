/** A database URL: taken apart as libpq does it, and put together again. */
import { userInfo } from "node:os";

/** Decoded. */
export interface UrlParts {
  login: string;
  /** "" where there is none. */
  password: string;
  /** A name, an address without brackets, or the directory of a Unix socket. */
  host: string;
  /** "" where the URL does not say it. */
  port: string;
  database: string;
  parameters: ReadonlyMap<string, string>;
}

/** Parameters that say what also has a place of its own. Providers of Unix sockets print ?host=/directory. */
const PLACES: Record<string, Exclude<keyof UrlParts, "parameters"> | undefined> = {
  host: "host",
  port: "port",
  user: "login",
  password: "password",
  dbname: "database",
};

const URL_OF_POSTGRES =
  /^postgres(?:ql)?:\/\/(?:(?<login>[^:/?#]*)(?::(?<password>[^/?#]*))?@)?(?<where>[^@/?#]*)(?:\/(?<database>[^?#]*))?(?:\?(?<query>[^#]*))?$/;

const HOST_AND_PORT = /^(?:\[(?<address>[^\]]*)\]|(?<host>[^:[\]]*))(?::(?<port>\d*))?$/;

/** Throws a sentence that says what is wrong with it, and tells nothing of the password. */
export function readUrl(text: string): UrlParts {
  if (!isDecodable(text))
    throw new Error(
      "a % must be written as %25, unless it begins an encoded character: two hex digits for each byte of its UTF-8, not %00",
    );
  if (text.includes("#")) throw new Error("a # must be written as %23");
  const given = text.match(URL_OF_POSTGRES)?.groups;
  if (!given) throw new Error("must be a URL: postgres://login:password@host:5432/database");
  const where = given["where"]?.match(HOST_AND_PORT)?.groups;
  const parts = {
    login: decodeURIComponent(given["login"] ?? ""),
    password: decodeURIComponent(given["password"] ?? ""),
    host: decodeURIComponent(where?.["address"] ?? where?.["host"] ?? given["where"] ?? ""),
    port: where?.["port"] ?? "",
    database: decodeURIComponent(given["database"] ?? ""),
  };
  const parameters = new Map<string, string>();
  for (const [name, value] of pairsOf(given["query"] ?? "")) {
    const place = PLACES[name];
    if (place === undefined) parameters.set(name, value);
    else parts[place] = value;
  }
  if (parts.host.includes(","))
    throw new Error("several hosts: give one, which leads to the primary (a proxy or a name that moves)");
  if (!where || !(parts.port === "" || isPort(parts.port)))
    throw new Error("host and port must be such as db.example:5432, [::1]:5432 or %2Frun%2Fpostgresql");
  // Who the URL does not name is who asks, as for libpq. Where it names no host, libpq means a directory that differs by system.
  const login = parts.login || userInfo().username;
  return { ...parts, login, host: parts.host || "localhost", database: parts.database || login, parameters };
}

/** Whether each % begins an encoded character that PostgreSQL takes. */
function isDecodable(text: string): boolean {
  try {
    return !decodeURIComponent(text).includes("\0");
  } catch {
    return false;
  }
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
}

/** A + is a +, as for libpq. */
function pairsOf(query: string): [string, string][] {
  return query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const [name = "", ...value] = pair.split("=").map(decodeURIComponent);
      return [name, value.join("=")];
    });
}

export function writeUrl({ login, password, port, database, parameters, ...parts }: UrlParts): string {
  const secret = password === "" ? "" : `:${encodeURIComponent(password)}`;
  const query = [...parameters].map((pair) => pair.map(encodeURIComponent).join("=")).join("&");
  return (
    `postgres://${encodeURIComponent(login)}${secret}@${hostAndPort({ ...parts, port }, encodeURIComponent)}` +
    `/${encodeURIComponent(database)}${query === "" ? "" : `?${query}`}`
  );
}

/** "db.example:5432", "[::1]:5432"; for a person "/run/postgresql:5432". */
export function hostAndPort(
  { host, port }: Pick<UrlParts, "host" | "port">,
  written: (host: string) => string = (plain) => plain,
): string {
  return `${host.includes(":") && !isSocket(host) ? `[${host}]` : written(host)}${port === "" ? "" : `:${port}`}`;
}

/** Whether it is the directory of a Unix socket. */
export function isSocket(host: string): boolean {
  return host.startsWith("/");
}

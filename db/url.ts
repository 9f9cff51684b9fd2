/** A database URL: taken apart as libpq does it, and put together again. */
import { userInfo } from "node:os";

export interface Host {
  /** A name, an address without brackets, or the directory of a Unix socket. */
  host: string;
  /** "" where the URL does not say it. */
  port: string;
}

/** Decoded. */
export interface UrlParts {
  login: string;
  /** "" where there is none. */
  password: string;
  /** In the URL's order; one at least. */
  hosts: readonly Host[];
  database: string;
  parameters: ReadonlyMap<string, string>;
}

/** Parameters that say what also has a place of its own. Providers of Unix sockets print ?host=/directory. */
const PLACES: Record<string, "hosts" | "ports" | "login" | "password" | "database" | undefined> = {
  host: "hosts",
  port: "ports",
  user: "login",
  password: "password",
  dbname: "database",
};

const URL_OF_POSTGRES =
  /^postgres(?:ql)?:\/\/(?:(?<login>[^:/?#]*)(?::(?<password>[^/?#]*))?@)?(?<where>[^@/?#]*)(?:\/(?<database>[^?#]*))?(?:\?(?<query>[^#]*))?$/;

const HOST_AND_PORT = /^(?:\[(?<address>[^\]]*)\]|(?<host>[^:[\]]*))(?::(?<port>\d*))?$/;

/**
 * Throws a sentence that says what is wrong with it, and tells nothing of the password. `otherwise` are login, password and database of a
 * URL that names none.
 */
export function readUrl(
  text: string,
  otherwise: Partial<Pick<UrlParts, "login" | "password" | "database">> = {},
): UrlParts {
  if (!isDecodable(text))
    throw new Error(
      "a % must be written as %25, unless it begins an encoded character: two hex digits for each byte of its UTF-8, not %00",
    );
  if (text.includes("#")) throw new Error("a # must be written as %23");
  const given = text.match(URL_OF_POSTGRES)?.groups;
  if (!given) throw new Error("must be a URL: postgres://login:password@host:5432/database");
  const places = (given["where"] ?? "").split(",").map(placeOf);
  const parts = {
    login: decodeURIComponent(given["login"] ?? ""),
    password: decodeURIComponent(given["password"] ?? ""),
    hosts: places.map(({ host }) => host).join(","),
    ports: places.map(({ port }) => port).join(","),
    database: decodeURIComponent(given["database"] ?? ""),
  };
  const parameters = new Map<string, string>();
  for (const [name, value] of pairsOf(given["query"] ?? "")) {
    const place = PLACES[name];
    if (place === undefined) parameters.set(name, value);
    else parts[place] = value;
  }
  const hosts = hostsOf(parts.hosts.split(","), parts.ports.split(","));
  // Who the URL does not name is who asks, as for libpq.
  const login = parts.login || (otherwise.login ?? nameOfUser());
  const password = parts.login === "" ? parts.password || (otherwise.password ?? "") : parts.password;
  const database = parts.database || (otherwise.database ?? login);
  return { login, password, hosts, database, parameters };
}

/** Of a container's user by number alone (OpenShift) nobody knows a name. */
function nameOfUser(): string {
  try {
    return userInfo().username;
  } catch {
    throw new Error("the user that this runs as has no name: write the login, postgres://login@host");
  }
}

const WRONG_PLACE =
  "host and port must be such as db.example:5432, [::1]:5432 or %2Frun%2Fpostgresql; several are separated by commas";

/** One host of the list before the database's name. */
function placeOf(text: string): Host {
  const place = text.match(HOST_AND_PORT)?.groups;
  if (!place) throw new Error(WRONG_PLACE);
  return { host: decodeURIComponent(place["address"] ?? place["host"] ?? ""), port: place["port"] ?? "" };
}

/** As libpq pairs them: one port is everybody's. Where a host is not named, libpq means a directory that differs by system. */
function hostsOf(names: readonly string[], ports: readonly string[]): Host[] {
  if (ports.length !== 1 && ports.length !== names.length)
    throw new Error(`${names.length} hosts and ${ports.length} ports: give each host a port, or one for all`);
  const hosts = names.map((name, i) => ({
    host: name || "localhost",
    port: (ports.length === 1 ? ports[0] : ports[i]) ?? "",
  }));
  if (!hosts.every(({ port }) => port === "" || isPort(port))) throw new Error(WRONG_PLACE);
  if (new Set(hosts.map(({ host }) => isSocket(host))).size > 1)
    throw new Error("several hosts: give all by TCP, or all by the directory of a Unix socket");
  return hosts;
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

export function writeUrl({ login, password, hosts, database, parameters }: UrlParts): string {
  const secret = password === "" ? "" : `:${encodeURIComponent(password)}`;
  const query = [...parameters].map((pair) => pair.map(encodeURIComponent).join("=")).join("&");
  return (
    `postgres://${encodeURIComponent(login)}${secret}@${hostsAndPorts(hosts, encodeURIComponent)}` +
    `/${encodeURIComponent(database)}${query === "" ? "" : `?${query}`}`
  );
}

/** "db.example:5432", "[::1]:5432", "a:5432,b:5433"; for a person "/run/postgresql:5432". */
export function hostsAndPorts(
  hosts: readonly Host[],
  written: (host: string) => string = (plain) => plain,
): string {
  return hosts
    .map(({ host, port }) => {
      // Of an address only the % before its zone has to be written otherwise: [fe80::1%25eth0].
      const isAddress = host.includes(":") && !isSocket(host);
      const name = isAddress ? `[${written(host).replaceAll("%3A", ":")}]` : written(host);
      return `${name}${port === "" ? "" : `:${port}`}`;
    })
    .join(",");
}

/** Whether it is the directory of a Unix socket. */
export function isSocket(host: string): boolean {
  return host.startsWith("/");
}

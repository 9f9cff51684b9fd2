/**
 * The parameters of a database URL: libpq's, as providers print them, and two of poolers. Each is taken, translated for the driver, or
 * refused by its name. None reaches PostgreSQL as a setting that it does not know.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import type postgres from "postgres";

/**
 * What the driver (postgres 3.4.9) is given instead of a URL: of one it leaves an IPv6 address in its brackets, and a database's name
 * encoded (findings/postgres-js-url-names.sh).
 */
export interface DriverOptions extends ParameterOptions {
  // The driver takes lists too, its types do not say so. It splits a text at its colons, as if an IPv6 address had a port.
  host: string & [string];
  port: number & [number];
  database: string;
  user: string;
  password: string;
  /** Of a Unix socket, which is then used instead. */
  path?: string;
}

/** What parameters are translated to. */
export type ParameterOptions = Pick<postgres.Options<Record<string, postgres.PostgresType>>, "prepare"> & {
  ssl: "prefer" | "require" | false | object;
  connect_timeout?: number;
  keep_alive?: number | null;
  connection: Record<string, string>;
};

type Values = ReadonlyMap<string, string>;

const SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/** Values of each parameter that is taken; true takes all. */
const taken: Record<string, true | RegExp> = {
  sslmode: new RegExp(`^(${SSL_MODES.join("|")})$`),
  ssl: /^true$/,
  sslrootcert: true,
  sslcert: true,
  sslkey: true,
  sslpassword: true,
  connect_timeout: /^\d{1,6}$/,
  application_name: true,
  fallback_application_name: true,
  options: true,
  keepalives: /^[01]$/,
  keepalives_idle: /^\d{1,6}$/,
  // Node has no such options of a socket, and deadlines of ours do more.
  keepalives_interval: /^\d{1,6}$/,
  keepalives_count: /^\d{1,6}$/,
  tcp_user_timeout: /^\d{1,9}$/,
  // Which of several hosts, as libpq names them. A standby is refused where writes are needed, whatever the URL says.
  target_session_attrs: /^(any|read-write|primary|read-only|standby|prefer-standby)$/,
  load_balance_hosts: /^(disable|random)$/,
  client_encoding: /^(utf-?8|auto)$/i,
  // The driver never offers these.
  channel_binding: /^(disable|prefer)$/,
  gssencmode: /^(disable|prefer)$/,
  sslcompression: /^[01]$/,
  sslsni: /^1$/,
  sslnegotiation: /^postgres$/,
  prepare: /^(true|false)$/,
  pgbouncer: /^(true|false)$/,
};

const whyNot: Record<string, string> = {
  channel_binding:
    "the driver has no channel binding: leave it out, and let sslmode=verify-full prove the server",
  gssencmode: "the driver has no GSSAPI encryption: leave it out, and use sslmode",
  target_session_attrs: "must be one of any, read-write, primary, read-only, standby, prefer-standby",
  client_encoding: "names are sent as UTF8: leave it out",
  sslmode: `must be one of ${SSL_MODES.join(", ")}`,
  sslnegotiation: "the driver begins TLS as PostgreSQL before 17 wants it: leave it out",
  sslsni: "the driver always sends the host's name: leave it out",
  ssl: "say sslmode",
  hostaddr: "write the address as the host",
};

const otherwise =
  "is not known here: leave it out. A setting of PostgreSQL is given as options=-c name=value";

/** Throws a sentence that names the first parameter that can't be taken. */
export function readParameters(given: Values): Values {
  const values = new Map<string, string>();
  for (const [name, value] of given) {
    const allowed = taken[name];
    if (allowed === undefined) throw new Error(`${name}: ${whyNot[name] ?? otherwise}`);
    if (allowed !== true && !allowed.test(value))
      throw new Error(`${name}=${value}: ${whyNot[name] ?? `must look like ${allowed.source}`}`);
    // libpq takes JDBC's word too.
    if (name === "ssl") values.set("sslmode", values.get("sslmode") ?? "require");
    else values.set(name, value);
  }
  return values;
}

/** Reads the certificates that the parameters name. */
export function parameterOptions(values: Values): ParameterOptions {
  const idle = values.get("keepalives_idle");
  const timeout = Number(values.get("connect_timeout") ?? 0);
  return {
    ssl: tlsOf(values),
    // 0 is libpq's word for no limit.
    ...(timeout > 0 ? { connect_timeout: timeout } : {}),
    ...(values.get("keepalives") === "0" ? { keep_alive: null } : idle ? { keep_alive: Number(idle) } : {}),
    ...(isPooled(values) ? { prepare: false } : {}),
    connection: chosen(values, { options: "options", application_name: "application_name" }),
  };
}

/** Whether a pooler stands between that gives each statement another session. */
function isPooled(values: Values): boolean {
  return values.get("prepare") === "false" || values.get("pgbouncer") === "true";
}

/** As libpq: without a certificate to compare with, only verify-full and verify-ca look at the server's. */
function tlsOf(values: Values): ParameterOptions["ssl"] {
  const file = (name: string) => {
    const path = values.get(name);
    return path === undefined || path === "" ? undefined : path;
  };
  const root = file("sslrootcert");
  const mode = values.get("sslmode") ?? (root === "system" ? "verify-full" : "prefer");
  const [cert, key] = [file("sslcert"), file("sslkey")];
  const looks = mode.startsWith("verify-") || (mode === "require" && root !== undefined);
  if (mode === "disable") return false;
  // The driver's own "allow" (postgres 3.4.9, findings/postgres-js-sslmode-allow.sh) begins TLS with a server that offers none.
  if (!looks && cert === undefined) return mode === "require" ? mode : "prefer";
  return {
    rejectUnauthorized: looks,
    ...(root === undefined || root === "system" || !looks ? {} : { ca: read("sslrootcert", root) }),
    ...(cert === undefined ? {} : { cert: read("sslcert", cert) }),
    ...(key === undefined ? {} : { key: read("sslkey", key) }),
    ...(values.has("sslpassword") ? { passphrase: values.get("sslpassword") } : {}),
    // Only verify-full compares the name.
    checkServerIdentity: mode === "verify-full" ? isOfHost : () => undefined,
  };
}

/**
 * Compares a certificate with the host that was connected to, of several the one. Node.js (20 to 24) calls it with the name that is sent by
 * SNI. An address is never sent, and then that name is "localhost": a certificate for localhost was taken from any address, and one for
 * the address was refused. `this` are the options of tls.connect(), and its socket is of openSocket().
 */
function isOfHost(this: { socket: { host: string } }, _name: string, certificate: PeerCertificate) {
  return checkServerIdentity(this.socket.host, certificate);
}

function read(name: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`${name}: cannot read ${path} (${(error as { code?: string }).code})`);
  }
}

/** Parameters that name files. Programs are run from other directories than ours. */
const FILES = ["sslrootcert", "sslcert", "sslkey"];

/** libpq has no variable for the passphrase of a key, and dbmate's driver no parameter: they fail with what nobody understands. */
function requireOpenKey(values: Values, program: string): void {
  if (values.has("sslpassword"))
    throw new Error(
      `sslpassword: ${program} can't be given it: name a key without passphrase as sslkey, which nobody else can read`,
    );
}

/** What dbmate's driver (lib/pq, dbmate 2.36) knows of them. It refuses the sslmodes allow and prefer. */
export function migrationParameters(values: Values): Record<string, string> {
  requireOpenKey(values, "dbmate, which runs the migrations,");
  const names = ["sslrootcert", "sslcert", "sslkey", "connect_timeout", "application_name", "options"];
  return chosen(values, Object.fromEntries(names.map((name) => [name, name])));
}

/** The same parameters as libpq's variables. */
export function libpqVariables(values: Values): Record<string, string> {
  requireOpenKey(values, "psql");
  return {
    PGSSLMODE: values.get("sslmode") ?? (values.get("sslrootcert") === "system" ? "verify-full" : "prefer"),
    ...chosen(values, {
      sslrootcert: "PGSSLROOTCERT",
      sslcert: "PGSSLCERT",
      sslkey: "PGSSLKEY",
      connect_timeout: "PGCONNECT_TIMEOUT",
      options: "PGOPTIONS",
      channel_binding: "PGCHANNELBINDING",
      gssencmode: "PGGSSENCMODE",
      load_balance_hosts: "PGLOADBALANCEHOSTS",
    }),
  };
}

function chosen(values: Values, names: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(names).flatMap(([from, to]) => {
      const value = values.get(from);
      if (value === undefined) return [];
      return [[to, FILES.includes(from) && value !== "" && value !== "system" ? resolve(value) : value]];
    }),
  );
}

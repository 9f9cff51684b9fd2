/** What a connection that was not made fails with, by code: the system's, the driver's, and PostgreSQL's SQLSTATEs. */

/** Nothing answers there. */
export const UNREACHABLE = [
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "CONNECT_TIMEOUT",
  // A Unix socket that is not there, or not this user's to open.
  "ENOENT",
  "EACCES",
] as const;

/** PostgreSQL lets nobody in, or not this one: no such role, wrong password, no such database, no room, starting or stopping. */
const TURNED_AWAY = ["28000", "28P01", "3D000", "53300", "57P03"] as const;

/** Our code for a connection that was accepted and then closed or reset before it answered: no call was sent. */
export const HUNG_UP = "HUNG_UP";

/** Our code for an answer that no PostgreSQL gives. */
export const NO_POSTGRESQL = "NO_POSTGRESQL";

/** Our code for a server that offers no TLS to a client that wants nothing else. */
export const NO_TLS = "NO_TLS";

/** Codes of Node.js for a certificate that is not what the URL asks for: another name, another issuer, or another time. */
const BAD_CERTIFICATE = [
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_SIGNATURE_FAILURE",
] as const;

/** Our code for several hosts of which none is what is wanted. */
export const NO_HOST = "NO_HOST";

const noSession: ReadonlySet<string> = new Set([
  ...UNREACHABLE,
  ...TURNED_AWAY,
  HUNG_UP,
  NO_POSTGRESQL,
  NO_TLS,
  NO_HOST,
]);

/** Whether no session began, so that nothing was sent. */
export function isNoSession(code: string): boolean {
  return noSession.has(code);
}

/** Where somebody wanted to connect to. */
interface Place {
  host: string;
  login: string;
  database: string;
}

/** Why there is no connection, in two sentences. */
interface Failure {
  codes: readonly string[];
  /** For whoever asks whether a server is ready: names neither host nor login. */
  reason?: string;
  /** For whoever typed a command: says what to do, never the password. */
  advice?: (to: Place, message: string, code: string) => string;
}

const FAILURES: readonly Failure[] = [
  {
    codes: [...UNREACHABLE.filter((code) => code !== "ENOTFOUND"), "ETIMEDOUT"],
    reason: "Nothing answers at the database's address.",
    advice: ({ host }, _, code) =>
      `no PostgreSQL answers at ${host} (${code}): start it, or correct DATABASE_URL`,
  },
  {
    codes: ["ENOTFOUND"],
    reason: "Nothing answers at the database's address.",
    advice: ({ host }) => `there is no host ${host}: correct DATABASE_URL`,
  },
  {
    codes: ["28P01"],
    reason: "The database refuses the login's password.",
    advice: ({ host, login }) =>
      login.startsWith("coupon_")
        ? `${login} can't log in at ${host} with this password: ./sd migrate opens it, or says whose password it has`
        : `${login} can't log in at ${host}: correct the password in DATABASE_URL`,
  },
  {
    codes: ["28000"],
    reason: "The database does not let this login in.",
    advice: ({ host, login }, message) => `${login} can't log in at ${host}: ${message}`,
  },
  {
    codes: ["3D000"],
    reason: "There is no such database.",
    advice: ({ host, login, database }) =>
      `there is no database ${database} at ${host}: create it, owned by ${login}, or correct DATABASE_URL`,
  },
  { codes: ["42501"], reason: "The login may not connect to this database." },
  {
    codes: ["53300"],
    reason: "The database has no connection left for this login.",
    // It is the server's limit, the database's or the login's: PostgreSQL says which.
    advice: ({ host, login }, message) =>
      `${host} has no connection left for ${login}: ${message}. End one, or raise that limit`,
  },
  {
    codes: ["57P03"],
    reason: "The database is starting or stopping.",
    advice: ({ host }) => `${host} is starting up or shutting down: try again`,
  },
  {
    codes: BAD_CERTIFICATE,
    reason: "The database's certificate is not what its URL asks for.",
    advice: ({ host }, message) =>
      `the certificate of ${host} is not what sslmode and sslrootcert ask for: ${message}`,
  },
  {
    codes: ["CONNECTION_CLOSED", "ECONNRESET"],
    advice: ({ host }) => `${host} closed the connection: see its log`,
  },
  {
    codes: [HUNG_UP],
    reason: "What answers at the database's address hangs up.",
    advice: ({ host }) =>
      `what answers at ${host} hangs up: a proxy without a PostgreSQL behind it, or no PostgreSQL`,
  },
  {
    codes: [NO_POSTGRESQL],
    reason: "What answers at the database's address is no PostgreSQL.",
    advice: ({ host }) => `what answers at ${host} is no PostgreSQL: correct DATABASE_URL`,
  },
  {
    codes: [NO_TLS],
    reason: "The database offers no TLS, and its URL asks for it.",
    advice: ({ host }) => `${host} offers no TLS: switch it on there, or leave sslmode out of DATABASE_URL`,
  },
  // ALLOW_CONNECTIONS is off, say.
  { codes: ["55000"], reason: "The database takes no connections." },
  {
    // PgBouncer gives it to all of its errors.
    codes: ["08P01"],
    reason: "A pooler refuses the connection: the log says why.",
    advice: ({ host }, message) =>
      `${host} answers "${message}", as a pooler does: commands of ./sd need PostgreSQL itself in DATABASE_URL`,
  },
  { codes: [NO_HOST], reason: "No host of the database's URL is the primary." },
];

const failures = new Map(FAILURES.flatMap((failure) => failure.codes.map((code) => [code, failure])));

/** Why the database cannot be reached; undefined if the code does not say. */
export function reasonOf(code: string): string | undefined {
  return failures.get(code)?.reason;
}

/** What whoever typed a command does about it; undefined if the code does not say. */
export function adviceFor(code: string, message: string, to: Place): string | undefined {
  return failures.get(code)?.advice?.(to, message, code);
}

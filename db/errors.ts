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
export const TURNED_AWAY = ["28000", "28P01", "3D000", "53300", "57P03"] as const;

/** Our code for a connection that was accepted and then closed or reset before it answered: no call was sent. */
export const HUNG_UP = "HUNG_UP";

/** Our code for an answer that no PostgreSQL gives. */
export const NO_POSTGRESQL = "NO_POSTGRESQL";

/** Our code for a server that offers no TLS to a client that wants nothing else. */
export const NO_TLS = "NO_TLS";

/** Codes of Node.js for a certificate that is not what the URL asks for: another name, another issuer, or another time. */
export const BAD_CERTIFICATE = [
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

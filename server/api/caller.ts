/** What a key may be limited to: each operation of the contract says in which of them it is. */
export const SCOPES = ["issue", "read", "use"] as const;
export type Scope = (typeof SCOPES)[number];

/**
 * Who calls, as the token says; a user's subject is its user_id. A till is a service that may only use coupons. Others may be limited to
 * some scopes; what has a key_id may be revoked.
 */
export type Caller =
  | { role: "user"; user_id: number; subject: string }
  | { role: "till" | "service" | "admin"; subject: string; scopes?: readonly Scope[]; key_id?: string };

export type Role = Caller["role"];

/** Why a token is not valid, in the order in which that is looked for. */
export const TOKEN_ERRORS = [
  /** No JWT, or its head, `exp`, `nbf` or `iat` cannot be read. */
  "malformed",
  /** `iss` is none that the settings name. */
  "unknown_issuer",
  /** `alg` is none of this issuer's keys. */
  "algorithm",
  /** This issuer has no key with this `kid`, or that does not fit `alg`. */
  "unknown_key",
  "expired",
  /** `nbf` is ahead. */
  "not_yet_valid",
  "audience",
  /** `sub`, or the claim that has the user's number. */
  "subject",
  /** A token of ours without one of our roles. */
  "role",
  /** `jti` is no id of a key. */
  "key_id",
  /** Another key signed it, or it was changed. */
  "signature",
  /** ./sd keys revoke. */
  "revoked",
] as const;
export type TokenError = (typeof TOKEN_ERRORS)[number];

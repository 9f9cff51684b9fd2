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

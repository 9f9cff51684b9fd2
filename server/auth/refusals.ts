/** Why a token is not valid, in one word: for the log and /metrics, never for who sent it. Looked for only when one was refused. */
import type { TokenError } from "../api/caller.ts";
import { type Claims, isFor, isSubject, type Mapping, readExpiry } from "./claims.ts";

/** Is told why a token is refused. */
export type Told = (reason: TokenError) => void;

/** Why readExpiry() or readCaller() says null of these claims. */
export function whyNot(claims: Claims, mapping: Mapping, now: number): TokenError {
  const { exp, nbf = 0, iat = 0, jti } = claims;
  if (readExpiry(claims, now) === null) {
    if (![exp, nbf, iat].every(Number.isFinite)) return "malformed";
    return (exp as number) <= now ? "expired" : "not_yet_valid";
  }
  if (!isFor(mapping.audienceOf(claims), mapping.audience)) return "audience";
  if (!isSubject(mapping.subjectOf(claims))) return "subject";
  const held = mapping.roleOf(claims);
  if (held === null) return "role";
  return held.role === "user" || jti === undefined || isSubject(jti) ? "subject" : "key_id";
}

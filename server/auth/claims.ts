/** What the claims of a token say: when it is good, for whom, and who calls. */
import { type Caller, type Role, SCOPES, type Scope, type TokenError } from "../api/caller.ts";
import { isText } from "../api/values.ts";
import type { ClaimPath, GivenRole } from "../issuer-settings.ts";

export type Claims = Readonly<Record<string, unknown>>;

/** How an issuer says who calls. Made once, since it reads the claims of every token. */
export interface Mapping {
  audience: readonly string[];
  audienceOf(claims: Claims): unknown;
  /** Text that names who calls; services and admins are named by it. */
  subjectOf(claims: Claims): unknown;
  /** The number of a user. */
  userIdOf(claims: Claims): unknown;
  /** Where users are known by their subjects instead: whether a new one is created. */
  users?: "known" | "create";
  /** What a new user is called. */
  displayNameOf(claims: Claims): unknown;
  /** Our role by the claims; null if a token without it is not good. */
  roleOf(claims: Claims): Held | null;
  /** The name of a service or an admin, or the id of its key, which no other issuer's has. */
  nameOf(subject: string): string;
}

/** What a token may do: what its role may, or only what its scopes say. */
export interface Held {
  role: Role;
  scopes?: readonly Scope[];
}

/** A user whose number is the database's to say. */
export interface Stranger {
  role: "stranger";
  subject: string;
  displayName: string | null;
}

/** The clock of who signs may be ahead of ours by this: a token that was made just now is valid. `exp` is exact. */
const AHEAD_S = 10;

/** Characters; of the id of a key too. */
const MAX_SUBJECT = 200;
const MAX_NAME = 200;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The claims, which are in base64url; null if they are none. */
export function readClaims(part: string): Claims | null {
  // So many characters are of no bytes.
  if (part.length % 4 === 1) return null;
  try {
    const value = JSON.parse(utf8.decode(Buffer.from(part, "base64url")));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** `exp`, if the token is good now (seconds since 1970); else why it is not. */
export function readExpiry({ exp, nbf = 0, iat = 0 }: Claims, now: number): number | TokenError {
  if (!isInstant(exp) || !isInstant(nbf) || !isInstant(iat)) return "malformed";
  if (exp <= now) return "expired";
  return nbf <= Math.floor(now) + AHEAD_S ? exp : "not_yet_valid";
}

/** Who calls, if the token is for us; else why it is not. */
export function readCaller(claims: Claims, mapping: Mapping): Caller | Stranger | TokenError {
  if (!isFor(mapping.audienceOf(claims), mapping.audience)) return "audience";
  const subject = mapping.subjectOf(claims);
  if (!isSubject(subject)) return "subject";
  const held = mapping.roleOf(claims);
  if (held === null) return "role";
  if (held.role === "user") {
    if (mapping.users !== undefined)
      return { role: "stranger", subject, displayName: nameOf(mapping.displayNameOf(claims)) };
    const user_id = numberOf(mapping.userIdOf(claims));
    return user_id === null ? "subject" : { role: "user", user_id, subject: String(user_id) };
  }
  const name = mapping.nameOf(subject);
  if (!isSubject(name)) return "subject";
  const { jti } = claims;
  if (jti === undefined) return { ...held, role: held.role, subject: name };
  // A key whose id nobody can revoke would be good for ever: it is none.
  return isSubject(jti) ? { ...held, role: held.role, subject: name, key_id: mapping.nameOf(jti) } : "key_id";
}

/**
 * The role that one of a claim's values has; `user` if none has one. Of several, the one that may most counts, and scopes add up. The claim
 * is a value or a list of them, or has them as names; a scope is a text of words.
 */
export function roleAt(claims: Claims, path: ClaimPath, roles: ReadonlyMap<unknown, GivenRole>): Held {
  const claim = claimAt(claims, path);
  const isScope = ["scope", "scp"].includes(path.at(-1) as string);
  const values = typeof claim === "string" && isScope ? claim.split(" ") : [claim].flat().flatMap(valuesIn);
  const named = new Set(values.map((value) => roles.get(isPlain(value) ? `${value}` : value)));
  const whole = (["admin", "service"] as const).find((role) => named.has(role));
  if (whole !== undefined) return { role: whole };
  return limitedTo(
    SCOPES.filter((scope) => named.has(scope === "use" ? "till" : `service:${scope}`)),
    "user",
  );
}

const isPlain = (value: unknown) => typeof value === "boolean" || typeof value === "number";

/** Zitadel's roles are the names of objects, in which are the organizations where somebody has them. */
function valuesIn(value: unknown): unknown[] {
  return isObject(value) ? Object.keys(value).filter((name) => isObject(value[name])) : [value];
}

/** A token with these scopes; without any it has this role. One that may only use claim codes is a till. */
export function limitedTo(scopes: readonly Scope[], otherwise: Role): Held {
  if (scopes.length === 0) return { role: otherwise };
  return scopes.join() === "use" ? { role: "till" } : { role: "service", scopes };
}

/** What an object has itself only: each has a `constructor`, which no token gave it. */
export function claimAt(claims: Claims, path: ClaimPath): unknown {
  let value: unknown = claims;
  for (const name of path) value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  return value;
}

function isFor(claim: unknown, audience: readonly string[]): boolean {
  return Array.isArray(claim)
    ? audience.some((one) => claim.includes(one))
    : audience.includes(claim as string);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isInstant(claim: unknown): claim is number {
  return typeof claim === "number" && Number.isFinite(claim);
}

/** Its characters are counted as PostgreSQL counts them. The length comes first: it is at hand. */
function isSubject(claim: unknown): claim is string {
  if (typeof claim !== "string" || claim.length === 0 || claim.length > 2 * MAX_SUBJECT) return false;
  return (claim.length <= MAX_SUBJECT || [...claim].length <= MAX_SUBJECT) && isText(claim);
}

/** A name that a user can have, without spaces around it; of a long one its beginning. */
function nameOf(claim: unknown): string | null {
  if (typeof claim !== "string" || !isText(claim)) return null;
  return [...claim.trim()].slice(0, MAX_NAME).join("").trim() || null;
}

/** The user_id: a whole number, or its digits. */
function numberOf(claim: unknown): number | null {
  const number = typeof claim === "string" && /^[1-9][0-9]{0,15}$/.test(claim) ? Number(claim) : claim;
  return Number.isSafeInteger(number) && (number as number) > 0 ? (number as number) : null;
}

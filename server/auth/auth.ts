/**
 * Bearer tokens: JWT (RFC 7519) with sub, aud, iss and exp, all required. Who issued it says what the claims mean: our own tokens have role
 * = user, service or admin, and the sub of a user is its user_id; an identity provider's are read by its settings. A token is checked at
 * once, on the event loop, because every request of a burst may have another; by public key it is known when it comes again. Only keys that
 * must be fetched first make a request wait. What is valid is what jose (6.2.17) takes, with one spelling of an HMAC.
 */
import type { KeyObject } from "node:crypto";
import { decodeProtectedHeader } from "jose/decode/protected_header"; // a start waits for each module of the whole
import type { Caller, Role, TokenError } from "../api/caller.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { Env } from "../env.ts";
import { Problem } from "../http/problem.ts";
import { ALGORITHMS, type Check } from "./algorithms.ts";
import { type Claims, readCaller, readClaims, readExpiry, type Stranger } from "./claims.ts";
import { hmacKey } from "./hs256.ts";
import { type Issuer, issuersOf } from "./issuers.ts";
import type { Header, Keys } from "./keys.ts";
import { createKnown, type Verified } from "./known.ts";
import { refuse, type Told } from "./refusals.ts";
import { createRevoked, unlessRevoked } from "./revoked.ts";

/**
 * The caller of a token; null if the token is not valid: then `told` gets the reason before. Throws if the keys cannot be fetched, or the
 * number of its subject.
 */
export interface Authenticate {
  (token: string, told?: Told): Caller | null | Promise<Caller | null>;
  /** The database does not have its user, and perhaps no longer: a restore loses users. Who it is is asked anew when the token comes again. */
  forget?(token: string): void;
}

/** The number of a user by its subject; null: it has none. */
export type Resolve = (
  subject: { issuer: string; subject: string; displayName: string | null },
  creating: boolean,
) => Promise<number | null>;

/** What the database says about tokens, and the clock by which that grows old. */
export interface Asking {
  resolve: Resolve;
  /** The ids of keys that are revoked. */
  revokedKeys: () => Promise<readonly string[]>;
  clock: Pick<Clock, "now" | "wall">;
}

const DAY_S = 86_400;

/** Whoever signs has few headers. The key of each is found once. */
const MAX_HEADERS = 100;

/** What is remembered of an issuer's keys, as long as they have this stamp. */
interface Remembering extends Issuer {
  stamp: number;
  /** By the header as it is written, of tokens that were valid: a stranger cannot fill it. */
  checks: Map<string, Check>;
}

/** Three parts in base64url, which is ASCII, so one character is one byte. */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * Checks tokens, each with the keys of who issued it. `report` gets the error when published keys could not be fetched in the background.
 * `resolve` is asked once for each valid token of a user who is known by its subject, `revokedKeys` now and then where a key has an id.
 */
export async function createAuthenticate(
  env: Env,
  report: (error: unknown) => void = () => {},
  { resolve = async () => null, revokedKeys = async () => [], clock = systemClock }: Partial<Asking> = {},
): Promise<Authenticate> {
  const issuers = issuersOf(env, report, clock).map(
    (issuer): Remembering => ({ ...issuer, stamp: 0, checks: new Map() }),
  );
  /** The generation of an issuer's keys, as a number that no other issuer's has: its remainder says whose it is. */
  const stampOf = (issuer: Issuer, index: number) => issuer.keys.generation() * issuers.length + index;
  const isCurrent = (stamp: number) => {
    const index = stamp % issuers.length;
    return stampOf(issuers[index] as Issuer, index) === stamp;
  };
  const known = issuers.every(({ keys }) => keys.algorithms.includes("HS256"))
    ? undefined
    : createKnown(isCurrent);
  /** Who is refused on the short way is asked for again by the routes: its signature is checked once. */
  let forged: { token: string; stamp: number } | undefined;
  const isRevoked = createRevoked(revokedKeys, clock, report);
  /** So is who waits for its number. */
  const resolving = new Map<string, Promise<Caller>>();

  /** `stamp` is that of the key: of an earlier one nothing is remembered. */
  function verify(
    token: string,
    header: string,
    claims: Claims,
    issuer: Remembering,
    check: Check | TokenError,
    stamp: number,
    told?: Told,
  ): Caller | null | Promise<Caller | null> {
    if (typeof check === "string") return refuse(told, check);
    // The claims first: they cost less than a signature, and most tokens that are not valid have expired.
    const exp = readExpiry(claims, clock.wall() / 1000);
    if (typeof exp === "string") return refuse(told, exp);
    const caller = readCaller(claims, issuer);
    if (typeof caller === "string") return refuse(told, caller);
    const end = token.lastIndexOf(".");
    if (!check(token.slice(0, end), token.slice(end + 1))) {
      forged = { token, stamp };
      return refuse(told, "signature");
    }
    if (!issuer.checks.has(header) && issuer.checks.size < MAX_HEADERS && isCurrent(stamp))
      issuer.checks.set(header, check);
    if (caller.role !== "stranger")
      return unlessRevoked(remembered(token, stamp, { caller, exp }), isRevoked, told);
    const resolved = numbered(caller, issuer)
      .then((user) => remembered(token, stamp, { caller: user, exp }))
      .finally(() => resolving.delete(token));
    resolving.set(token, resolved);
    return resolved;
  }

  async function numbered({ subject, displayName }: Stranger, { issuer, users }: Issuer): Promise<Caller> {
    const user_id = await resolve({ issuer, subject, displayName }, users === "create");
    if (user_id === null) throw new Problem("forbidden", { detail: "The subject of this token is no user." });
    return { role: "user", user_id, subject: String(user_id) };
  }

  function remembered(token: string, stamp: number, verified: Verified): Caller {
    if (isByPublicKey(token)) known?.add(token, stamp, clock.wall() / 1000, verified);
    return verified.caller;
  }

  function authenticate(token: string, told?: Told): ReturnType<Authenticate> {
    const caller = isByPublicKey(token) ? known?.find(token, clock.wall() / 1000) : undefined;
    if (caller !== undefined) return unlessRevoked(caller, isRevoked, told);
    const waiting = resolving.size === 0 ? undefined : resolving.get(token);
    if (waiting !== undefined) return waiting;
    if (forged !== undefined && token === forged.token && isCurrent(forged.stamp))
      return refuse(told, "signature");
    if (!COMPACT.test(token)) return refuse(told, "malformed");
    const header = token.slice(0, token.indexOf("."));
    const claims = readClaims(token.slice(header.length + 1, token.lastIndexOf(".")));
    if (claims === null) return refuse(told, "malformed");
    // Whose keys are asked is decided by the token, and whether it is theirs by its signature.
    const index = issuers.findIndex(({ issuer }) => issuer === claims["iss"]);
    const issuer = issuers[index];
    if (issuer === undefined) return refuse(told, "unknown_issuer");
    const stamp = stampOf(issuer, index);
    if (issuer.stamp !== stamp) Object.assign(issuer, { stamp, checks: new Map() });
    const check = issuer.checks.get(header) ?? findCheck(token, issuer.keys);
    return check instanceof Promise
      ? check.then((found) => verify(token, header, claims, issuer, found, stamp, told))
      : verify(token, header, claims, issuer, check, stamp, told);
  }

  return Object.assign(authenticate, { forget: (token: string) => known?.forget(token) });
}

/**
 * A signature by a secret has 43 characters, one by a public key 86 or more. To look up who comes again would save 4 µs of a token by a
 * secret, and cost 3 of whoever comes first: these are not remembered.
 */
function isByPublicKey(token: string): boolean {
  return token.charAt(token.length - 44) !== ".";
}

/** What checks the tokens with this one's header, or why none can be valid. */
function findCheck(token: string, keys: Keys): Check | TokenError | Promise<Check | TokenError> {
  const header = readHeader(token);
  if (header === null) return "malformed";
  const algorithm = ALGORITHMS.get(header.alg);
  if (algorithm === undefined || !keys.algorithms.includes(header.alg)) return "algorithm";
  const checkBy = (found: readonly KeyObject[]) => {
    const [first, ...more] = found.filter(algorithm.fits).map(algorithm.checkOf);
    if (first === undefined) return "unknown_key";
    if (more.length === 0) return first;
    return (signed: string, signature: string) => [first, ...more].some((check) => check(signed, signature));
  };
  const found = keys.candidates(header);
  return found instanceof Promise ? found.then(checkBy) : checkBy(found);
}

/** A header without critical extensions. Only b64 is known (RFC 7797), and a JWT has it as it is without. */
function readHeader(token: string): Header | null {
  try {
    const header = decodeProtectedHeader(token);
    const { alg, crit, b64 } = header as Record<string, unknown>;
    const isPlain =
      crit === undefined ||
      (Array.isArray(crit) && crit.length > 0 && crit.every((name) => name === "b64") && b64 === true);
    return typeof alg === "string" && isPlain ? (header as Header) : null;
  } catch {
    return null;
  }
}

/**
 * Signs a token with the shared secret; it is valid for a day, or until `exp`. For development, tests, benches and small installations. The
 * id of a key is its jti.
 */
export function signToken(
  secret: string,
  expected: Pick<Env, "JWT_ISSUER" | "JWT_AUDIENCE">,
  who: { role: Role; subject: string; scope?: string; key_id?: string; exp?: number },
  { wall }: Pick<Clock, "wall"> = systemClock,
): string {
  const now = Math.floor(wall() / 1000);
  return hmacKey(secret).sign({
    ...(who.role === "till" ? { role: "service", scope: "use" } : { role: who.role }),
    ...(who.scope === undefined ? {} : { scope: who.scope }),
    ...(who.key_id === undefined ? {} : { jti: who.key_id }),
    sub: who.subject,
    iss: expected.JWT_ISSUER,
    aud: expected.JWT_AUDIENCE,
    iat: now,
    exp: who.exp ?? now + DAY_S,
  });
}

/**
 * Bearer tokens: JWT (RFC 7519) with sub, aud, iss and exp, all required, and role = user, service or admin. The sub of a
 * user is its user_id. The clock is Date, because jose (6.2.17) uses it for the age of published keys: tests move both by mocking Date.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey, jwtVerify } from "jose";
import type { Caller, Role } from "../api/caller.ts";
import { isText } from "../api/values.ts";
import type { Env } from "../env.ts";
import { Problem } from "../http/problem.ts";
import { hmacKey } from "./hs256.ts";

/** The caller of a token; null if the token is not valid. Throws if the keys cannot be fetched. */
export type Authenticate = (token: string) => Caller | null | Promise<Caller | null>;

/** The caller of a valid token, and when the token expires (NumericDate of RFC 7519: seconds since 1970). */
type Verified = { caller: Caller; exp: number };
type Verify = (token: string) => Verified | null | Promise<Verified | null>;

type Expectation = Pick<Env, "JWT_ISSUER" | "JWT_AUDIENCE">;

const ASYMMETRIC = ["RS256", "PS256", "ES256", "EdDSA"];
const DAY_S = 86_400;
/** Published keys are fetched at most this often. */
const RETRY_KEYS_MS = 1_000;
/** While the key server is down, known keys stay valid this long: most outages are shorter, and a withdrawn key must end. */
const KEPT_KEYS_MS = 3_600_000;

/** The clock of who signs may be ahead of ours by this: a token that was made just now is valid. `exp` is exact. */
const AHEAD_S = 10;

/** Tokens that were valid twice are remembered, at most twice this many (about 500 bytes each): whoever comes twice comes again. */
const REMEMBERED = 20_000;
/** A remembered token is checked again after this long, so that a withdrawn key ends. */
const REMEMBERED_MS = 60_000;

/**
 * Checks tokens with the one key that the environment names: JWT_JWKS_URL, JWT_PUBLIC_KEY or JWT_SECRET. `report` gets the error when
 * published keys could not be fetched in the background.
 */
export async function createAuthenticate(
  env: Env,
  report: (error: unknown) => void = () => {},
): Promise<Authenticate> {
  const given = (["JWT_JWKS_URL", "JWT_PUBLIC_KEY", "JWT_SECRET"] as const).filter((name) => env[name]);
  if (given.length === 0)
    throw new Error("no key for tokens: set JWT_SECRET, JWT_PUBLIC_KEY or JWT_JWKS_URL");
  if (given.length > 1)
    throw new Error(`${given.join(" and ")} are set: tokens have one key, leave one of them`);
  if (env.JWT_JWKS_URL)
    return remembering(authenticateBy(remoteKeys(new URL(env.JWT_JWKS_URL), report), ASYMMETRIC, env));
  if (env.JWT_PUBLIC_KEY) {
    const { key, algorithms } = readPublicKey(env.JWT_PUBLIC_KEY);
    return remembering(authenticateBy(async () => key, algorithms, env));
  }
  return remembering(authenticateBySecret(env.JWT_SECRET as string, env));
}

/**
 * Remembers valid tokens in two generations instead of an age for each: when the young one is full or old enough, it replaces the
 * old one. Only a token that comes a second time is remembered: remembering tokens that come once cost more than checking them.
 */
function remembering(verify: Verify): Authenticate {
  let young = new Map<string, Verified>();
  let old = new Map<string, Verified>();
  let since = Date.now();
  /** Tokens that are being checked: requests with the same token wait for the same check. */
  const checking = new Map<string, Promise<Caller | null>>();
  const seen = new Uint32Array(65_536);

  /** By a hash of the last characters of the signature. After a collision a token is remembered too early or too late. */
  function isSeenAgain(token: string): boolean {
    let hash = 0;
    for (let i = Math.max(0, token.length - 12); i < token.length; i++)
      hash = (Math.imul(hash, 31) + token.charCodeAt(i)) >>> 0;
    const slot = hash % seen.length;
    if (seen[slot] === hash) return true;
    seen[slot] = hash;
    return false;
  }

  function remember(token: string, verified: Verified | null): Caller | null {
    if (verified === null) return null;
    if (isSeenAgain(token)) young.set(token, verified);
    return verified.caller;
  }

  return (token) => {
    const now = Date.now();
    if (young.size >= REMEMBERED || now - since >= REMEMBERED_MS / 2 || now < since) {
      old = now - since >= REMEMBERED_MS || now < since ? new Map() : young;
      young = new Map();
      since = now;
    }
    const known = young.get(token) ?? old.get(token);
    if (known !== undefined) return known.exp > now / 1000 ? known.caller : null;
    const asked = checking.get(token);
    if (asked !== undefined) return asked;
    const verified = verify(token);
    if (!(verified instanceof Promise)) return remember(token, verified);
    const checked = verified.then((later) => remember(token, later)).finally(() => checking.delete(token));
    checking.set(token, checked);
    return checked;
  };
}

/** The key and the algorithms that fit it. The token cannot choose another algorithm. */
function readPublicKey(pem: string): { key: KeyObject; algorithms: string[] } {
  let key: KeyObject | undefined;
  try {
    key = createPublicKey(pem);
  } catch {}
  const { modulusLength = 0, namedCurve } = key?.asymmetricKeyDetails ?? {};
  if (key?.asymmetricKeyType === "rsa" && modulusLength >= 2048)
    return { key, algorithms: ["RS256", "PS256"] };
  if (key?.asymmetricKeyType === "ec" && namedCurve === "prime256v1") return { key, algorithms: ["ES256"] };
  if (key?.asymmetricKeyType === "ed25519") return { key, algorithms: ["EdDSA"] };
  throw new Error("JWT_PUBLIC_KEY: no RSA (2048 bits or more), P-256 or Ed25519 key");
}

/**
 * Published keys. The first request that comes 30 s after the last fetch fetches them again, and requests with a known key do not wait
 * for that. If the key server is down, tokens of known keys stay valid, and a token of an unknown key is neither valid nor invalid.
 */
function remoteKeys(url: URL, report: (error: unknown) => void): JWTVerifyGetKey {
  let askedAt = -Infinity;
  const isTooSoon = () => Math.abs(Date.now() - askedAt) < RETRY_KEYS_MS;
  const keys = createRemoteJWKSet(url, {
    cacheMaxAge: KEPT_KEYS_MS,
    [customFetch]: async (...asked) => {
      if (isTooSoon()) throw new Error("the keys of tokens were asked for within this second");
      askedAt = Date.now();
      return fetch(...asked);
    },
  });
  return async (header, token) => {
    if (keys.fresh && !keys.coolingDown && !keys.reloading && !isTooSoon()) keys.reload().catch(report);
    try {
      return await keys(header, token);
    } catch (error) {
      const isTokens =
        error instanceof errors.JWKSNoMatchingKey ||
        error instanceof errors.JWKSMultipleMatchingKeys ||
        error instanceof errors.JOSENotSupported;
      if (isTokens) throw error;
      throw new Problem("keys_unavailable", { retryAfter: 1 }, error);
    }
  };
}

function authenticateBy(key: JWTVerifyGetKey, algorithms: string[], expected: Expectation): Verify {
  const options = {
    algorithms,
    issuer: expected.JWT_ISSUER,
    audience: expected.JWT_AUDIENCE,
    requiredClaims: ["exp", "sub", "aud", "iss", "role"],
    clockTolerance: AHEAD_S, // also for exp, which is checked below
  };
  return async (token) => {
    try {
      const { payload } = await jwtVerify(token, key, options);
      const caller = readCaller(payload.sub, payload["role"]);
      return caller && isInstant(payload.exp) && payload.exp > Date.now() / 1000
        ? { caller, exp: payload.exp }
        : null;
    } catch (error) {
      if (error instanceof Problem) throw error;
      return null;
    }
  };
}

/** Checks the claims as jose does with the options above. */
function authenticateBySecret(secret: string, expected: Expectation): Verify {
  const key = hmacKey(secret);
  return (token) => {
    const claims = key.verify(token);
    if (claims === null) return null;
    const { iss, aud, exp, nbf = 0, iat = 0, sub, role } = claims;
    const now = Math.floor(Date.now() / 1000);
    const isForUs =
      iss === expected.JWT_ISSUER &&
      (aud === expected.JWT_AUDIENCE || (Array.isArray(aud) && aud.includes(expected.JWT_AUDIENCE)));
    const isNow = isInstant(exp) && exp > now && isInstant(nbf) && nbf <= now + AHEAD_S && isInstant(iat);
    const caller = isForUs && isNow ? readCaller(sub, role) : null;
    return caller && { caller, exp: exp as number };
  };
}

function isInstant(claim: unknown): claim is number {
  return typeof claim === "number" && Number.isFinite(claim);
}

function readCaller(subject: unknown, role: unknown): Caller | null {
  if (typeof subject !== "string" || subject.length === 0 || subject.length > 200) return null;
  if (!isText(subject)) return null;
  if (role === "service" || role === "admin") return { role, subject };
  if (role !== "user" || !/^[1-9][0-9]{0,15}$/.test(subject)) return null;
  const user_id = Number(subject);
  return Number.isSafeInteger(user_id) ? { role, user_id, subject } : null;
}

/** Signs a token with the shared secret; it is valid for a day. For development, tests and benches. */
export function signToken(
  secret: string,
  expected: Expectation,
  who: { role: Role; subject: string },
): string {
  const now = Math.floor(Date.now() / 1000);
  return hmacKey(secret).sign({
    role: who.role,
    sub: who.subject,
    iss: expected.JWT_ISSUER,
    aud: expected.JWT_AUDIENCE,
    iat: now,
    exp: now + DAY_S,
  });
}

/**
 * Bearer tokens: JWT (RFC 7519) with sub, aud, iss and exp, all required, and role = user, service or admin. The sub of a
 * user is its user_id. Time is read from Date, as jose (6.2.17) does for the age of published keys: tests move both by mocking Date.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey, jwtVerify } from "jose";
import type { Caller, Role } from "../api/caller.ts";
import { isText } from "../api/schemas.ts";
import type { Env } from "../env.ts";
import { Problem } from "../http/problem.ts";
import { hmacKey } from "./hs256.ts";

/** The caller of a token; null when the token is not one of ours, or no longer. Throws when the keys can't be had. */
export type Authenticate = (token: string) => Caller | null | Promise<Caller | null>;

/** A token that was found to be right, and until when it is (NumericDate of RFC 7519: seconds since 1970). */
type Verified = { caller: Caller; exp: number };
type Verify = (token: string) => Verified | null | Promise<Verified | null>;

type Expectation = Pick<Env, "JWT_ISSUER" | "JWT_AUDIENCE">;

const ASYMMETRIC = ["RS256", "PS256", "ES256", "EdDSA"];
const DAY_S = 86_400;
/** How often published keys are asked for at most … */
const RETRY_KEYS_MS = 1_000;
/** … and for how long known ones are good without: most outages are shorter, and a key that was withdrawn meanwhile must end. */
const KEPT_KEYS_MS = 3_600_000;

/** Who asked twice asks again: tokens found right twice are remembered, twice this many at most (about 500 bytes each) … */
const REMEMBERED = 20_000;
/** … and checked anew after this long, so that a key that was withdrawn doesn't live on. */
const REMEMBERED_MS = 60_000;

/**
 * Checks tokens by the key that the environment names: JWT_JWKS_URL, JWT_PUBLIC_KEY or JWT_SECRET, one of them. `report` is told why
 * published keys couldn't be fetched anew, where nobody waited for them.
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
 * Two generations instead of an age for each: when the young one is full, or old enough, it takes the place of the old. Only
 * a token that is seen again gets in: to keep the tokens of those who ask once cost more than to check them.
 */
function remembering(verify: Verify): Authenticate {
  let young = new Map<string, Verified>();
  let old = new Map<string, Verified>();
  let since = Date.now();
  /** Tokens that are being checked: whoever brings one of them meanwhile waits for the same answer. */
  const checking = new Map<string, Promise<Caller | null>>();
  const seen = new Uint32Array(65_536);

  /** By a hash of the signature's end; a collision remembers a token too early, or once more in vain. */
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

/** The key with its own algorithms; which of them is never taken from a token alone. */
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
 * Published keys: fetched anew by the first who asks 30 s later, which holds up nobody whose key is known. Not to reach them says
 * nothing about a token, and takes nothing from those of known keys.
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
  };
  return async (token) => {
    try {
      const { payload } = await jwtVerify(token, key, options);
      const caller = readCaller(payload.sub, payload["role"]);
      return caller && isInstant(payload.exp) ? { caller, exp: payload.exp } : null;
    } catch (error) {
      if (error instanceof Problem) throw error;
      return null;
    }
  };
}

/** The same checks of the claims as jose makes with the options above. */
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
    const isNow = isInstant(exp) && exp > now && isInstant(nbf) && nbf <= now && isInstant(iat);
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

/** A token by the shared secret, good for a day: for development, tests and benches. */
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

/**
 * Bearer tokens: JWT (RFC 7519) with sub, aud, iss and exp, all required, and role = user, service or admin. The sub of a
 * user is its user_id.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from "jose";
import type { Env } from "./env.ts";
import { hmacKey } from "./hs256.ts";
import { Problem } from "./problem.ts";
import { isText } from "./schemas.ts";

export type Caller =
  | { role: "user"; user_id: number; subject: string }
  | { role: "service" | "admin"; subject: string };

/** The caller of a token; null when the token is not one of ours, or no longer. Throws when the keys can't be had. */
export type Authenticate = (token: string) => Caller | null | Promise<Caller | null>;

type Expectation = Pick<Env, "JWT_ISSUER" | "JWT_AUDIENCE">;

const ASYMMETRIC = ["RS256", "PS256", "ES256", "EdDSA"];
const DAY_S = 86_400;

/** Checks tokens by the key that the environment names: JWT_JWKS_URL, JWT_PUBLIC_KEY or JWT_SECRET, one of them. */
export async function createAuthenticate(env: Env): Promise<Authenticate> {
  const given = (["JWT_JWKS_URL", "JWT_PUBLIC_KEY", "JWT_SECRET"] as const).filter((name) => env[name]);
  if (given.length === 0)
    throw new Error("no key for tokens: set JWT_SECRET, JWT_PUBLIC_KEY or JWT_JWKS_URL");
  if (given.length > 1)
    throw new Error(`${given.join(" and ")} are set: tokens have one key, leave one of them`);
  if (env.JWT_JWKS_URL) return authenticateBy(remoteKeys(new URL(env.JWT_JWKS_URL)), ASYMMETRIC, env);
  if (env.JWT_PUBLIC_KEY) {
    const { key, algorithms } = readPublicKey(env.JWT_PUBLIC_KEY);
    return authenticateBy(async () => key, algorithms, env);
  }
  return authenticateBySecret(env.JWT_SECRET as string, env);
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

/** Published keys, fetched once and again for a key id that is new. Not to reach them says nothing about a token. */
function remoteKeys(url: URL): JWTVerifyGetKey {
  const keys = createRemoteJWKSet(url);
  return async (header, token) => {
    try {
      return await keys(header, token);
    } catch (error) {
      const isTokens =
        error instanceof errors.JWKSNoMatchingKey ||
        error instanceof errors.JWKSMultipleMatchingKeys ||
        error instanceof errors.JOSENotSupported;
      if (isTokens) throw error;
      const detail = "The keys of the tokens can't be reached; nothing was done. Ask again.";
      throw new Problem(503, { outcome: "keys_unavailable", detail, retryAfter: 1 }, error);
    }
  };
}

function authenticateBy(key: JWTVerifyGetKey, algorithms: string[], expected: Expectation): Authenticate {
  const options = {
    algorithms,
    issuer: expected.JWT_ISSUER,
    audience: expected.JWT_AUDIENCE,
    requiredClaims: ["exp", "sub", "aud", "iss", "role"],
  };
  return async (token) => {
    try {
      const { payload } = await jwtVerify(token, key, options);
      return readCaller(payload.sub, payload["role"]);
    } catch (error) {
      if (error instanceof Problem) throw error;
      return null;
    }
  };
}

/** The same checks of the claims as jose makes with the options above. */
function authenticateBySecret(secret: string, expected: Expectation): Authenticate {
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
    return isForUs && isNow ? readCaller(sub, role) : null;
  };
}

/** NumericDate of RFC 7519: seconds since 1970. */
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
  who: { role: Caller["role"]; subject: string },
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

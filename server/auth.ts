/**
 * Bearer tokens: JWT (RFC 7519) with sub, aud, iss and exp, all required, and role = user, service or admin. The sub of a
 * user is its user_id.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify, SignJWT } from "jose";
import type { Env } from "./env.ts";
import { Problem } from "./problem.ts";

export type Caller =
  | { role: "user"; user_id: number; subject: string }
  | { role: "service" | "admin"; subject: string };

/** The caller of a token; null when the token is not one of ours, or no longer. Throws when the keys can't be had. */
export type Authenticate = (token: string) => Promise<Caller | null>;

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
  // Imported once: as bytes it would be imported anew for each token, which took half the time of a refusal.
  const secret = await crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(env.JWT_SECRET),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["verify"],
  );
  return authenticateBy(async () => secret, ["HS256"], env);
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

function readCaller(subject: unknown, role: unknown): Caller | null {
  if (typeof subject !== "string" || subject.length === 0 || subject.length > 200) return null;
  if (role === "service" || role === "admin") return { role, subject };
  if (role !== "user" || !/^[1-9][0-9]{0,15}$/.test(subject)) return null;
  const user_id = Number(subject);
  return Number.isSafeInteger(user_id) ? { role, user_id, subject } : null;
}

/** A token by the shared secret, good for a day: for development, tests and benches. */
export async function signToken(
  secret: string,
  expected: Expectation,
  who: { role: Caller["role"]; subject: string },
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ role: who.role })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(who.subject)
    .setIssuer(expected.JWT_ISSUER)
    .setAudience(expected.JWT_AUDIENCE)
    .setIssuedAt(now)
    .setExpirationTime(now + DAY_S)
    .sign(new TextEncoder().encode(secret));
}

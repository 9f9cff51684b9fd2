/**
 * Bearer tokens: JWT (RFC 7519) with sub, aud, iss and exp, all required, and role = user, service or admin. The sub of a
 * user is its user_id.
 */
import { createRemoteJWKSet, importSPKI, type JWTVerifyGetKey, jwtVerify, SignJWT } from "jose";
import type { Env } from "./env.ts";

export type Caller =
  | { role: "user"; user_id: number; subject: string }
  | { role: "service" | "admin"; subject: string };

/** The caller of a token; null when the token is not one of ours, or no longer. */
export type Authenticate = (token: string) => Promise<Caller | null>;

type Expectation = Pick<Env, "JWT_ISSUER" | "JWT_AUDIENCE">;

const ASYMMETRIC = ["RS256", "PS256", "ES256", "EdDSA"];
const DAY_S = 86_400;

/** Checks tokens by the key that the environment names: JWT_JWKS_URL, JWT_PUBLIC_KEY or JWT_SECRET, one of them. */
export async function createAuthenticate(env: Env): Promise<Authenticate> {
  const given = [env.JWT_JWKS_URL, env.JWT_PUBLIC_KEY, env.JWT_SECRET].filter(Boolean).length;
  if (given === 0) throw new Error("no key for tokens: set JWT_SECRET, JWT_PUBLIC_KEY or JWT_JWKS_URL");
  if (env.JWT_JWKS_URL) return authenticateBy(createRemoteJWKSet(new URL(env.JWT_JWKS_URL)), ASYMMETRIC, env);
  if (env.JWT_PUBLIC_KEY) {
    // The algorithm is the key's own: which of those fits is tried when it is read, never taken from a token.
    for (const algorithm of ASYMMETRIC) {
      const key = await importSPKI(env.JWT_PUBLIC_KEY, algorithm).catch(() => null);
      if (key)
        return authenticateBy(async () => key, algorithm === "RS256" ? ["RS256", "PS256"] : [algorithm], env);
    }
    throw new Error("JWT_PUBLIC_KEY: no RSA, P-256 or Ed25519 key");
  }
  const secret = new TextEncoder().encode(env.JWT_SECRET);
  return authenticateBy(async () => secret, ["HS256"], env);
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
    } catch {
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

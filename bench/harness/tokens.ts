/** Who asks: users with a valid token each. */
import { signToken } from "../../server/auth/auth.ts";
import { hmacKey } from "../../server/auth/hs256.ts";
import { readEnv } from "../../server/env.ts";

/** A request of a bench. */
export interface Shot {
  method: "GET" | "POST";
  path: string;
  headers: Record<string, string>;
  body: string;
}

/** Issuer and audience, as the server has them when nothing else is set. */
const expected = readEnv({});

export function userToken(secret: string, userId: number): string {
  return signToken(secret, expected, { role: "user", subject: String(userId) });
}

export function adminToken(secret: string): string {
  return signToken(secret, expected, { role: "admin", subject: "bench" });
}

/** Of each till one of its own. */
export function tillToken(secret: string, till: number): string {
  return signToken(secret, expected, { role: "till", subject: `till-${till}` });
}

/**
 * Makes tokens that nobody has seen before: `count` more each time, of these users in turn. A token differs from an earlier one of its
 * user by its `jti`, as those of an identity provider do.
 */
export function createFreshTokens(secret: string, users: readonly number[]): (count: number) => string[] {
  const key = hmacKey(secret);
  const now = Math.floor(Date.now() / 1000);
  const { JWT_ISSUER: iss, JWT_AUDIENCE: aud } = expected;
  let jti = 0;
  const next = () => {
    const sub = String(users[jti % users.length]);
    jti += 1;
    return key.sign({ role: "user", sub, iss, aud, iat: now, exp: now + 86_400, jti });
  };
  return (count) => Array.from({ length: count }, next);
}

/** Makes the shots of users 1 to `users`; their tokens are signed beforehand. */
export function createShots(secret: string, users: number): (userId: number, couponId: number) => Shot {
  const tokens = Array.from({ length: users }, (_, i) => userToken(secret, i + 1));
  return (userId, couponId) => issueShot(tokens[userId - 1] as string, couponId);
}

/** Asks for a coupon, for whom the token says, with a JSON body. */
export function issueShot(token: string, couponId: number): Shot {
  return {
    method: "POST",
    path: `/coupons/${couponId}/issue`,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: "{}",
  };
}

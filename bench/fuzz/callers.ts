/** Who asks: a token that is right, by its role, or what stands where a token should. */
import fc from "fast-check";
import { hmacKey } from "../../server/auth/hs256.ts";
import { adminToken, env, serviceToken, tillToken, userToken } from "../harness/app.ts";
import { userId } from "./values.ts";

export type Caller =
  | { as: "user"; user_id: number }
  | { as: "till" | "service" | "admin" }
  | { as: "nobody"; forged: string | undefined };

const claims = { iss: env.JWT_ISSUER, aud: env.JWT_AUDIENCE, exp: Math.floor(Date.now() / 1000) + 86_400 };
const sign = (given: object, key = env.JWT_SECRET as string) =>
  `Bearer ${hmacKey(key).sign({ ...claims, ...given })}`;
/** Tokens of which none is right, by the name that a finding shows. */
const forged = {
  none: `Bearer ${Buffer.from('{"alg":"none","typ":"JWT"}').toString("base64url")}.${Buffer.from(JSON.stringify({ ...claims, sub: "root", role: "admin" })).toString("base64url")}.`,
  "other secret": sign({ sub: "root", role: "admin" }, "another secret, of somebody who would like to be us"),
  expired: sign({ sub: "root", role: "admin", exp: claims.exp - 2 * 86_400 }),
  "no expiry": sign({ sub: "root", role: "admin", exp: undefined }),
  cut: `Bearer ${adminToken.slice(0, -1)}`,
  root: sign({ sub: "root", role: "root" }),
  "user 0": sign({ sub: "0", role: "user" }),
  "user 1.5": sign({ sub: "1.5", role: "user" }),
  "user text": sign({ sub: "42; select", role: "user" }),
  "admin by array": sign({ sub: "root", role: ["admin"] }),
  issuer: sign({ sub: "root", role: "admin", iss: "somebody" }),
  audience: sign({ sub: "root", role: "admin", aud: "others" }),
};

const nobody: fc.Arbitrary<Caller> = fc
  .option(
    fc.oneof(
      fc.constantFrom(...Object.keys(forged)),
      fc.constantFrom(
        "",
        "Bearer",
        "Basic YTpi",
        "Bearer a.b.c",
        "bearer ....",
        `Bearer ${"a".repeat(5_000)}`,
      ),
    ),
    { nil: undefined },
  )
  .map((forged) => ({ as: "nobody", forged }));
export const anybody: fc.Arbitrary<Caller> = fc.oneof(
  userId.map((user_id): Caller => ({ as: "user", user_id })),
  fc.constantFrom<Caller>(
    { as: "till" },
    { as: "service" },
    { as: "admin" },
    { as: "user", user_id: Number.MAX_SAFE_INTEGER },
  ),
  nobody,
);

export function authorizationOf(caller: Caller): string | undefined {
  switch (caller.as) {
    case "user":
      return `Bearer ${userToken(caller.user_id)}`;
    case "till":
      return `Bearer ${tillToken}`;
    case "service":
      return `Bearer ${serviceToken}`;
    case "admin":
      return `Bearer ${adminToken}`;
    case "nobody":
      return caller.forged === undefined
        ? undefined
        : (forged[caller.forged as keyof typeof forged] ?? caller.forged);
  }
}

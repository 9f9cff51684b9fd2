/** Ids of keys, subjects and scopes in every shape that a signer may give them: what cannot be revoked or limited is no token. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { type JWTPayload, SignJWT } from "jose";
import { readEnv } from "../env.ts";
import { createAuthenticate } from "./auth.ts";

const A = "https://a.example";
const secret = "a secret of the tests, long enough for HS256";
const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
const exp = Math.floor(Date.now() / 1000) + 3_600;
const authenticate = await createAuthenticate(
  readEnv({
    JWT_SECRET: secret,
    JWT_ISSUERS: JSON.stringify([
      {
        issuer: A,
        audience: "shop",
        public_key: pair.publicKey.export({ type: "spki", format: "pem" }),
        user_id: "user_id",
        roles: { staff: "admin", shop: "service", till: "till", reader: "service:read" },
      },
    ]),
  }),
);
const own = async (claims: JWTPayload) =>
  authenticate(
    await new SignJWT({
      iss: "coupon-drop",
      aud: "coupon-drop",
      sub: "shop",
      role: "service",
      exp,
      ...claims,
    })
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(secret)),
  );
const provided = async (claims: JWTPayload) =>
  authenticate(
    await new SignJWT({ iss: A, aud: "shop", sub: "ann", role: "shop", user_id: 42, exp, ...claims })
      .setProtectedHeader({ alg: "ES256" })
      .sign(pair.privateKey),
  );

const ROLES = [
  ["service", "shop"],
  ["admin", "staff"],
] as const;
for (const jti of ["", "k".repeat(201), "😀".repeat(201), "k\0", "k\ud83c", 5, null, {}, ["k"], true])
  test(`the jti ${JSON.stringify(jti).slice(0, 20)}: nobody could revoke it, so no key is good with it`, async () => {
    const claims = { jti } as JWTPayload;
    for (const [ours, theirs] of ROLES) {
      assert.equal(await own({ ...claims, role: ours }), null);
      assert.equal(await provided({ ...claims, role: theirs }), null);
    }
    for (const role of ["till", "reader"]) assert.equal(await provided({ ...claims, role }), null);
    assert.equal(await own({ ...claims, scope: "use" }), null);
    // A user's has no meaning here.
    const user = { role: "user", user_id: 42, subject: "42" };
    assert.deepEqual(await own({ ...claims, role: "user", sub: "42" }), user);
    assert.deepEqual(await provided({ ...claims, role: "x" }), user);
  });

for (const text of ["k".repeat(200), "😀".repeat(120), "😀".repeat(200)])
  test(`${[...text].length} characters in ${text.length} units are an id, and a name`, async () => {
    assert.deepEqual(await own({ jti: text, sub: text }), { role: "service", subject: text, key_id: text });
    assert.deepEqual(await provided({ jti: text }), {
      role: "service",
      subject: `ann of ${A}`,
      key_id: `${text} of ${A}`,
    });
  });

for (const [scope, scopes] of [
  ["read issue", ["issue", "read"]],
  [["read issue"], ["issue", "read"]],
  [
    ["openid read", "use"],
    ["read", "use"],
  ],
  ["read\tuse", ["read", "use"]],
] as const)
  test(`the scope ${JSON.stringify(scope)} is ${scopes}`, async () => {
    assert.deepEqual(await own({ scope }), { role: "service", subject: "shop", scopes });
  });

test("one text of a list that says use alone is a till", async () => {
  assert.deepEqual(await own({ scope: ["openid use"] }), { role: "till", subject: "shop" });
});

for (const scope of [5, null, true, { use: 1 }, [5, null, "read"], [["use"]]])
  test(`the scope ${JSON.stringify(scope)} is none: the key is not taken for one that may do all`, async () => {
    assert.equal(await own({ scope }), null);
  });

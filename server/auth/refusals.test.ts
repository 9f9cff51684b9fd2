/** Each reason for which a token is refused, of our own tokens and of a provider's; and who is told it. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { after, test } from "node:test";
import { SignJWT } from "jose";
import { metricsToken, openApp } from "../../bench/harness/app.ts";
import { TOKEN_ERRORS, type TokenError } from "../api/caller.ts";
import { readEnv } from "../env.ts";
import { createAuthenticate } from "./auth.ts";

const A = "https://a.example";
const secret = "a secret of the tests, long enough for HS256";
const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
const now = Math.floor(Date.now() / 1000);
const exp = now + 3_600;
const settings = readEnv({
  JWT_SECRET: secret,
  JWT_ISSUERS: JSON.stringify([
    {
      issuer: A,
      audience: "shop",
      public_key: pair.publicKey.export({ type: "spki", format: "pem" }),
      user_id: "user_id",
    },
  ]),
});
const authenticate = await createAuthenticate(settings, () => {}, { revokedKeys: async () => ["gone"] });

const own = (claims: object, key = secret, alg = "HS256") =>
  new SignJWT({ iss: "coupon-drop", aud: "coupon-drop", sub: "42", role: "user", exp, ...claims })
    .setProtectedHeader({ alg })
    .sign(new TextEncoder().encode(key));
const provided = (claims: object, key = pair.privateKey) =>
  new SignJWT({ iss: A, aud: "shop", sub: "ann", user_id: 42, exp, ...claims })
    .setProtectedHeader({ alg: "ES256" })
    .sign(key);

const key = { role: "service", sub: "shop" };
const tokens: [why: TokenError, what: string, token: string | Promise<string>][] = [
  ["malformed", "no token", "not-of-three-parts"],
  ["malformed", "claims that are none", "e30.e30x.AA"],
  ["malformed", "a head that is none", own({}).then((token) => token.replace(/^[^.]*/, "e30"))],
  ["malformed", "exp is text", own({ exp: `${exp}` })],
  ["malformed", "without exp", own({ exp: undefined })],
  ["malformed", "iat is text", own({ iat: "now" })],
  ["unknown_issuer", "another iss", own({ iss: "https://b.example" })],
  ["unknown_issuer", "without iss", own({ iss: undefined })],
  ["algorithm", "HS512", own({}, secret.repeat(2), "HS512")],
  ["algorithm", "a provider's by our secret", own({ iss: A, aud: "shop" })],
  ["expired", "of an hour ago", own({ exp: now - 3_600 })],
  ["expired", "a provider's", provided({ exp: now - 1 })],
  ["not_yet_valid", "nbf is ahead", own({ nbf: now + 600 })],
  ["audience", "another aud", own({ aud: "somebody" })],
  ["audience", "without aud", own({ aud: undefined })],
  ["audience", "a provider's, for us by name", provided({ aud: "coupon-drop" })],
  ["subject", "sub is no number", own({ sub: "ann" })],
  ["subject", "without sub", own({ sub: undefined })],
  ["subject", "a provider's without the number", provided({ user_id: undefined })],
  ["subject", "a name that is too long", own({ ...key, sub: "x".repeat(201) })],
  ["role", "another role", own({ role: "owner" })],
  ["role", "without role", own({ role: undefined })],
  ["key_id", "jti is a number", own({ ...key, jti: 7 })],
  ["signature", "another secret", own({}, `${secret}!`)],
  ["signature", "a provider's by another key", provided({}, other.privateKey)],
  ["revoked", "a key that was revoked", own({ ...key, jti: "gone" })],
];
for (const [why, what, token] of tokens)
  test(`${why}: ${what}`, async () => {
    const told: string[] = [];
    // Twice: a forged one is remembered.
    for (const _ of [1, 2])
      assert.equal(await authenticate(await token, (reason) => told.push(reason)), null);
    assert.deepEqual(told, [why, why]);
  });

test("unknown_key: published keys without this one", async (t) => {
  t.mock.method(globalThis, "fetch", async () => Response.json({ keys: [] }));
  const published = await createAuthenticate(
    readEnv({ JWT_ISSUERS: JSON.stringify([{ issuer: A, audience: "shop", jwks: `${A}/keys` }]) }),
  );
  const told: string[] = [];
  assert.equal(await published(await provided({}), (reason) => told.push(reason)), null);
  assert.deepEqual(told, ["unknown_key"]);
});

test("a token that is valid tells nothing", async () => {
  const told: string[] = [];
  for (const token of [own({}), provided({}), provided({}), own({ ...key, jti: "k" })])
    assert.notEqual(await authenticate(await token, (reason) => told.push(reason)), null);
  assert.deepEqual(told, []);
});

/** Whoever sent it learns that it is not valid, and whoever runs the server why. */
const app = await openApp("postgres://nobody@127.0.0.1:1/nothing", {
  env: { JWT_ISSUERS: settings.JWT_ISSUERS },
});
after(() => app.close());

test("the log and /metrics have the reason, and the answer has not", async () => {
  const refused = tokens.filter(([why]) => why !== "revoked");
  for (const [, , token] of refused) {
    const answer = await app.call("POST /coupons/1/issue", { token: await token, body: {} });
    assert.equal(answer.status, 401);
    assert.equal(answer.headers.get("www-authenticate"), 'Bearer realm="coupons", error="invalid_token"');
    const { request_id, ...body } = answer.body;
    assert.deepEqual(body, {
      title: "Unauthorized",
      status: 401,
      outcome: "unauthenticated",
      detail: "The bearer token is not valid.",
    });
  }
  const nothing = await app.call("POST /coupons/1/issue", { body: {} });
  assert.deepEqual(
    [nothing.status, nothing.headers.get("www-authenticate")],
    [401, 'Bearer realm="coupons"'],
  );
  const whys = refused.map(([why]) => why);
  const lines = app.logged.filter(({ message }) => message === "request");
  assert.deepEqual(
    lines.map((line) => line.token_error),
    [...whys, undefined],
  );
  for (const [, , token] of refused)
    assert.ok(!JSON.stringify(app.logged).includes(await token), "no token is logged");

  const headers = { authorization: `Bearer ${metricsToken}` };
  const text = await (await app.ask("/metrics", { headers })).text();
  for (const reason of TOKEN_ERRORS) {
    const count = whys.filter((why) => why === reason).length;
    assert.match(text, new RegExp(`^coupon_tokens_refused_total\\{reason="${reason}"\\} ${count}$`, "m"));
  }
});

test("a token is as long as a head may be, with the groups of a large company in it", async () => {
  const groups = Array.from({ length: 200 }, (_, i) => `690222be-ff1a-4d56-abd1-7e4f7d38e${100 + i}`);
  for (const token of [provided({ groups }), own({ groups })]) {
    assert.ok((await token).length > 10_000);
    const { status, body } = await app.call("GET /me", { token: await token });
    assert.deepEqual([status, body], [200, { role: "user", user_id: 42 }]);
  }
});

test("/metrics tells a wrong token from none", async () => {
  const challenge = async (call: { token?: string }) =>
    (await app.call("GET /metrics", call)).headers.get("www-authenticate");
  assert.equal(await challenge({}), 'Bearer realm="coupons"');
  assert.equal(await challenge({ token: "x" }), 'Bearer realm="coupons", error="invalid_token"');
});

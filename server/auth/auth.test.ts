import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { exportJWK, type JWTPayload, SignJWT } from "jose";
import { createClock } from "../../bench/harness/clock.ts";
import type { Caller } from "../api/caller.ts";
import { readEnv } from "../env.ts";
import { Problem } from "../http/problem.ts";
import { createAuthenticate, signToken } from "./auth.ts";

const secret = "a secret of the tests, long enough for HS256";
const env = readEnv({ JWT_SECRET: secret });
const authenticate = await createAuthenticate(env);
const now = Math.floor(Date.now() / 1000);
const good = { sub: "42", role: "user", iss: "coupon-drop", aud: "coupon-drop", exp: now + 3_600 };
const ofGood = { role: "user", user_id: 42, subject: "42" } as const;

const bytes = (text: string) => new TextEncoder().encode(text);
const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

function hs256(claims: object, key = secret): Promise<string> {
  return new SignJWT({ ...claims }).setProtectedHeader({ alg: "HS256" }).sign(bytes(key));
}

// ---- HS256 ----------------------------------------------------------------------------------------------------------

const callers: { who: { role: Caller["role"]; subject: string }; caller: Caller }[] = [
  { who: { role: "user", subject: "42" }, caller: ofGood },
  { who: { role: "service", subject: "shop" }, caller: { role: "service", subject: "shop" } },
  { who: { role: "admin", subject: "7" }, caller: { role: "admin", subject: "7" } },
];
for (const { who, caller } of callers)
  test(`our own token: ${who.role}`, async () =>
    assert.deepEqual(await authenticate(await signToken(secret, env, who)), caller));

test("the largest user_id", async () => {
  const token = await hs256({ ...good, sub: "9007199254740991" });
  assert.deepEqual(await authenticate(token), {
    role: "user",
    user_id: Number.MAX_SAFE_INTEGER,
    subject: "9007199254740991",
  });
});

const refused: Record<string, object> = {
  expired: { ...good, exp: now - 1 },
  "not yet valid": { ...good, nbf: now + 60 },
  "another issuer": { ...good, iss: "somebody" },
  "another audience": { ...good, aud: "somebody" },
  "exp is text": { ...good, exp: `${now + 60}` },
  "an unknown role": { ...good, role: "owner" },
  "two roles": { ...good, role: ["user", "admin"] },
  "sub is a number": { ...good, sub: 42 },
  "sub is empty": { ...good, sub: "", role: "service" },
  "sub is too long": { ...good, sub: "x".repeat(201), role: "service" },
  "sub with NUL": { ...good, sub: "a\0b", role: "service" },
  "sub with half a pair": { ...good, sub: "a\ud83c", role: "service" },
  ...Object.fromEntries(
    ["", "ann", "0", "-1", "042", "1.5", "1e3", " 42", "42\n", "٤٢", "9007199254740992", "1".repeat(17)].map(
      (sub) => [`sub of a user: ${JSON.stringify(sub)}`, { ...good, sub }],
    ),
  ),
  ...Object.fromEntries(
    ["exp", "sub", "aud", "iss", "role"].map((name) => [
      `without ${name}`,
      Object.fromEntries(Object.entries(good).filter(([claim]) => claim !== name)),
    ]),
  ),
};
for (const [why, claims] of Object.entries(refused))
  test(`no token of ours: ${why}`, async () => assert.equal(await authenticate(await hs256(claims)), null));

const forged: Record<string, string | Promise<string>> = {
  "another secret": hs256(good, `${secret}!`),
  "alg none": `${base64url({ alg: "none" })}.${base64url(good)}.`,
  "alg HS512": new SignJWT(good).setProtectedHeader({ alg: "HS512" }).sign(bytes(secret)),
  "no signature": hs256(good).then((token) => token.replace(/[^.]*$/, "")),
  "other claims under the signature": hs256(good).then((token) =>
    token.replace(/\..*\./, `.${base64url({ ...good, sub: "43" })}.`),
  ),
  "an unknown critical header": new SignJWT(good)
    .setProtectedHeader({ alg: "HS256", crit: ["x"], x: 1 })
    .sign(bytes(secret), { crit: { x: true } }),
  empty: "",
  "no JWT": "x",
  huge: "x".repeat(1_000_000),
};
for (const [why, token] of Object.entries(forged))
  test(`no token of ours: ${why}`, async () => assert.equal(await authenticate(await token), null));

// ---- Public keys ----------------------------------------------------------------------------------------------------

const pairs = {
  RS256: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  EdDSA: generateKeyPairSync("ed25519"),
};
const attacker = generateKeyPairSync("ec", { namedCurve: "P-256" });
const pemOf = (key: KeyObject) => key.export({ type: "spki", format: "pem" }).toString();
const signed = (alg: string, key: KeyObject, header: object = {}) =>
  new SignJWT(good).setProtectedHeader({ alg, ...header }).sign(key);
const byPem = (pem: string) => createAuthenticate(readEnv({ JWT_PUBLIC_KEY: pem }));

for (const [alg, { publicKey, privateKey }] of [
  ...Object.entries(pairs),
  ["PS256", pairs.RS256] as const,
  ["Ed25519", pairs.EdDSA] as const,
]) {
  test(`public key: ${alg}`, async () => {
    const byKey = await byPem(pemOf(publicKey));
    assert.deepEqual(await byKey(await signed(alg, privateKey)), ofGood);
    assert.equal(await byKey(await hs256(good)), null);
    for (const [other, pair] of Object.entries(pairs))
      if (pair.publicKey !== publicKey) assert.equal(await byKey(await signed(other, pair.privateKey)), null);
  });

  test(`public key: the PEM of ${alg} as the secret of HS256`, async () => {
    const pem = pemOf(publicKey);
    const byKey = await byPem(pem);
    const message = `${base64url({ alg: "HS256" })}.${base64url(good)}`;
    for (const key of [pem, pem.trim(), publicKey.export({ type: "spki", format: "der" })])
      assert.equal(
        await byKey(`${message}.${createHmac("sha256", key).update(message).digest("base64url")}`),
        null,
      );
  });
}

for (const [why, pem] of Object.entries({
  "no key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
  P384: pemOf(generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey),
  "RSA of 1024 bits": pemOf(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey),
}))
  test(`public key refused at start: ${why}`, () =>
    assert.rejects(byPem(pem), {
      message: "JWT_PUBLIC_KEY: no RSA (2048 bits or more), P-256 or Ed25519 key",
    }));

// ---- Keys that are published ----------------------------------------------------------------------------------------

/** A server of this key set, on loopback, as long as `status` is 200; `fetches` counts. */
async function publish(t: TestContext, status = 200, keys?: object[]) {
  const jwk = { ...(await exportJWK(pairs.ES256.publicKey)), kid: "a", alg: "ES256" };
  const published = { fetches: 0, url: "", status, keys: keys ?? [jwk] };
  const server = createServer((_, response) => {
    published.fetches += 1;
    response.writeHead(published.status, { "content-type": "application/json" });
    response.end(JSON.stringify({ keys: published.keys }));
  });
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  published.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  return published;
}

const isUnavailable = (error: unknown) =>
  error instanceof Problem && error.status === 503 && error.members.outcome === "keys_unavailable";

test("JWKS: fetched once for many tokens", async (t) => {
  const published = await publish(t);
  const byJwks = await createAuthenticate(readEnv({ JWT_JWKS_URL: published.url }));
  const token = await signed("ES256", pairs.ES256.privateKey, { kid: "a" });
  const together = await Promise.all(Array.from({ length: 20 }, () => byJwks(token)));
  assert.deepEqual(together, Array(20).fill(ofGood));
  assert.deepEqual(await byJwks(token), ofGood);
  assert.equal(published.fetches, 1);
});

test("JWKS: unknown keys are refused, and fetch nothing more", async (t) => {
  const published = await publish(t);
  const byJwks = await createAuthenticate(readEnv({ JWT_JWKS_URL: published.url }));
  for (const token of [
    await signed("ES256", pairs.ES256.privateKey, { kid: "b" }),
    await signed("RS256", pairs.RS256.privateKey, { kid: "a" }),
    await signed("ES256", generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey, { kid: "a" }),
    await hs256(good),
  ])
    assert.equal(await byJwks(token), null);
  assert.equal(published.fetches, 1);
});

test("JWKS: a published secret is no key", async (t) => {
  const jwk = { kty: "oct", k: Buffer.from(secret).toString("base64url"), alg: "HS256" };
  const published = await publish(t, 200, [jwk]);
  const byJwks = await createAuthenticate(readEnv({ JWT_JWKS_URL: published.url }));
  assert.equal(await byJwks(await hs256(good)), null);
});

test("JWKS: keys that can't be had say nothing about the token", async (t) => {
  const token = await signed("ES256", pairs.ES256.privateKey, { kid: "a" });
  const closed = await publish(t, 500);
  for (const url of [closed.url, "http://127.0.0.1:1/jwks.json"]) {
    const byJwks = await createAuthenticate(readEnv({ JWT_JWKS_URL: url }));
    await assert.rejects(async () => byJwks(token), isUnavailable);
  }
});

test("no key at all", () =>
  assert.rejects(createAuthenticate(readEnv({})), {
    message: "no key for tokens: set JWT_SECRET, JWT_PUBLIC_KEY, JWT_JWKS_URL or JWT_ISSUERS",
  }));

test("two keys", () =>
  assert.rejects(
    createAuthenticate(readEnv({ JWT_SECRET: secret, JWT_PUBLIC_KEY: pemOf(pairs.EdDSA.publicKey) })),
    { message: "JWT_PUBLIC_KEY and JWT_SECRET are set: tokens have one key, leave one of them" },
  ));

test("JWKS: a flood of unknown keys fetches once in 5 s", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: now * 1_000 });
  const published = await publish(t);
  const byJwks = await createAuthenticate(readEnv({ JWT_JWKS_URL: published.url }));
  const flood = async (name: string) => {
    const tokens = Array.from({ length: 200 }, (_, i) =>
      signed("ES256", pairs.ES256.privateKey, { kid: `${name}-${i}` }),
    );
    for (const token of tokens) assert.equal(await byJwks(await token), null);
    assert.deepEqual(
      await Promise.all(tokens.map(async (token) => byJwks(await token))),
      Array(200).fill(null),
    );
  };
  await flood("first");
  assert.equal(published.fetches, 1);
  t.mock.timers.tick(4_999);
  await flood("second");
  assert.equal(published.fetches, 1);
  t.mock.timers.tick(1);
  await flood("third");
  assert.equal(published.fetches, 2);
  assert.deepEqual(await byJwks(await signed("ES256", pairs.ES256.privateKey, { kid: "a" })), ofGood);
});

test("JWKS: keys that can't be had are asked for once a second, however many tokens come", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: now * 1_000 });
  const published = await publish(t, 500);
  const byJwks = await createAuthenticate(readEnv({ JWT_JWKS_URL: published.url }));
  const token = await signed("ES256", pairs.ES256.privateKey, { kid: "a" });
  const unavailable = () => assert.rejects(async () => byJwks(token), isUnavailable);
  for (let i = 0; i < 50; i++) await unavailable();
  assert.equal(published.fetches, 1);
  t.mock.timers.tick(1_000);
  await unavailable();
  assert.equal(published.fetches, 2);
});

test("JWKS: while they can't be had known keys are good, whatever strangers send, for an hour", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: now * 1_000 });
  const published = await publish(t);
  const reported: unknown[] = [];
  const byJwks = await createAuthenticate(readEnv({ JWT_JWKS_URL: published.url }), (error) =>
    reported.push(error),
  );
  const known = async () =>
    byJwks(
      await new SignJWT({ ...good, exp: now + 86_400 })
        .setProtectedHeader({ alg: "ES256", kid: "a" })
        .sign(pairs.ES256.privateKey),
    );
  const unknown = async () => byJwks(await signed("ES256", attacker.privateKey, { kid: "mine" }));
  assert.deepEqual(await known(), ofGood);
  published.status = 500;
  t.mock.timers.tick(30_000);
  for (let second = 0; second < 3; second++) {
    for (let i = 0; i < 5; i++) {
      await assert.rejects(unknown, isUnavailable);
      assert.deepEqual(await known(), ofGood);
    }
    assert.deepEqual([published.fetches, reported.length], [second + 2, second + 1]);
    t.mock.timers.tick(1_000);
  }
  t.mock.timers.tick(3_600_000 - 33_000 - 1);
  assert.deepEqual(await known(), ofGood);
  t.mock.timers.tick(1);
  await assert.rejects(known, isUnavailable);
  published.status = 200;
  t.mock.timers.tick(1_000);
  assert.deepEqual(await known(), ofGood);
});

test("JWKS: a key that is withdrawn ends when they are fetched anew, by the first who asks 30 s later", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: now * 1_000 });
  const published = await publish(t);
  const byJwks = await createAuthenticate(readEnv({ JWT_JWKS_URL: published.url }));
  const ask = async () => byJwks(await signed("ES256", pairs.ES256.privateKey, { kid: "a" }));
  await ask();
  published.keys = [];
  t.mock.timers.tick(29_999);
  for (let i = 0; i < 5; i++) assert.deepEqual(await ask(), ofGood);
  assert.equal(published.fetches, 1);
  t.mock.timers.tick(1);
  while ((await ask()) !== null);
  assert.equal(published.fetches, 2);
});

test("JWKS: keys grow old and tokens end by the clock that is given", async (t) => {
  const clock = createClock(now * 1_000);
  const published = await publish(t);
  const byJwks = await createAuthenticate(readEnv({ JWT_JWKS_URL: published.url }), () => {}, { clock });
  const known = await signed("ES256", pairs.ES256.privateKey, { kid: "a" });
  const unknown = await signed("ES256", pairs.ES256.privateKey, { kid: "b" });
  assert.deepEqual(await byJwks(known), ofGood);
  await clock.pass(4_999);
  assert.equal(await byJwks(unknown), null);
  assert.equal(published.fetches, 1);
  await clock.pass(1);
  assert.equal(await byJwks(unknown), null);
  assert.equal(published.fetches, 2);
  assert.deepEqual(await byJwks(known), ofGood);
  await clock.pass(3_595_000);
  assert.equal(await byJwks(known), null);
});

// ---- What a token says of its key, and absurd numbers ---------------------------------------------------------------

test("a key that a token names or brings is not looked at, nor fetched", async (t) => {
  const jwk = { ...(await exportJWK(attacker.publicKey)), kid: "mine", alg: "ES256" };
  const theirs = await publish(t, 200, [jwk]);
  const ours = await publish(t);
  const byJwks = await createAuthenticate(readEnv({ JWT_JWKS_URL: ours.url }));
  const byKey = await byPem(pemOf(pairs.ES256.publicKey));
  const kids = [
    "../../dev/null",
    "/proc/self/environ",
    "' union select 'x",
    theirs.url,
    "__proto__",
    "x".repeat(2_000),
  ];
  const headers: object[] = [
    ...kids.map((kid) => ({ kid })),
    ...[1, null, {}, ["a"]].map((kid) => ({ kid })),
    { jku: theirs.url, kid: "mine" },
    { x5u: theirs.url },
    { jwk },
    { jwk, kid: "a" },
    { x5c: [attacker.publicKey.export({ type: "spki", format: "der" }).toString("base64")] },
  ];
  for (const header of headers) {
    const message = `${base64url({ alg: "ES256", ...header })}.${base64url(good)}`;
    const signature = sign("sha256", Buffer.from(message), {
      key: attacker.privateKey,
      dsaEncoding: "ieee-p1363",
    });
    const token = `${message}.${signature.toString("base64url")}`;
    const byEmpty = `${base64url({ alg: "HS256", ...header })}.${base64url(good)}`;
    const empty = `${byEmpty}.${createHmac("sha256", "").update(byEmpty).digest("base64url")}`;
    for (const each of [authenticate, byKey, byJwks])
      for (const forged of [token, empty]) assert.equal(await each(forged), null, JSON.stringify(header));
  }
  assert.deepEqual([theirs.fetches, ours.fetches], [0, 1]);
});

test("nbf a few seconds ahead, by the clock of who signs: valid; further ahead: not yet, and then it is", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: now * 1000 });
  const { publicKey, privateKey } = pairs.ES256;
  const byKey = await byPem(pemOf(publicKey));
  for (const [check, sign] of [
    [authenticate, (claims: JWTPayload) => hs256(claims)],
    [
      byKey,
      (claims: JWTPayload) => new SignJWT(claims).setProtectedHeader({ alg: "ES256" }).sign(privateKey),
    ],
  ] as const) {
    for (const ahead of [2, 10])
      assert.deepEqual(await check(await sign({ ...good, nbf: now + ahead })), ofGood, `${ahead} s`);
    const later = await sign({ ...good, nbf: now + 12 });
    assert.equal(await check(later), null);
    assert.equal(await check(await sign({ ...good, exp: now - 1 })), null, "exp is exact");
    assert.equal(await check(await sign({ ...good, exp: now })), null, "exp is exact");
    t.mock.timers.tick(2_000);
    assert.deepEqual(await check(later), ofGood);
    t.mock.timers.setTime(now * 1000);
  }
});

/** Claims as text, since JSON.stringify() has no number beyond a double. */
for (const [claim, isGood] of [
  ['"exp": 1e308', true],
  ['"exp": 1e999', false],
  ['"exp": -1e999', false],
  ['"exp": -1', false],
  ['"exp": 0', false],
  ['"exp": null', false],
  ['"exp": "NaN"', false],
  ['"exp": "Infinity"', false],
  ['"exp": [1e308]', false],
  ['"exp": 1e308, "nbf": 1e999', false],
  ['"exp": 1e308, "nbf": "0"', false],
  ['"exp": 1e308, "iat": "0"', false],
  [`"exp": 1e308, "exp": ${now - 1}`, false],
  ['"exp": 1e308, "sub": 42', false],
  ['"exp": 1e308, "aud": []', false],
  ['"exp": 1e308, "aud": {}', false],
  ['"exp": 1e308, "__proto__": {"role": "admin"}, "role": null', false],
] as const)
  test(`${isGood ? "our token" : "no token of ours"}: ${claim}, by secret and by public key alike`, async () => {
    const { exp: _, ...rest } = good;
    const claims = Buffer.from(`${JSON.stringify(rest).slice(0, -1)}, ${claim}}`).toString("base64url");
    const byHmac = `${base64url({ alg: "HS256" })}.${claims}`;
    const byEc = `${base64url({ alg: "ES256" })}.${claims}`;
    const signature = sign("sha256", Buffer.from(byEc), {
      key: pairs.ES256.privateKey,
      dsaEncoding: "ieee-p1363",
    });
    const byKey = await byPem(pemOf(pairs.ES256.publicKey));
    assert.deepEqual(
      [
        await authenticate(`${byHmac}.${createHmac("sha256", secret).update(byHmac).digest("base64url")}`),
        await byKey(`${byEc}.${signature.toString("base64url")}`),
      ],
      isGood ? [ofGood, ofGood] : [null, null],
    );
  });

// ---- Known again ----------------------------------------------------------------------------------------------------

/** Published keys, which count what is checked: a token that is known is answered when its key is gone. */
async function known(t: TestContext, exp = now + 86_400) {
  t.mock.timers.enable({ apis: ["Date"], now: now * 1_000 });
  const published = await publish(t);
  const byJwks = await createAuthenticate(readEnv({ JWT_JWKS_URL: published.url }));
  const sign = (sub: string) =>
    new SignJWT({ ...good, sub, exp })
      .setProtectedHeader({ alg: "ES256", kid: "a" })
      .sign(pairs.ES256.privateKey);
  const forged = await new SignJWT({ ...good, exp })
    .setProtectedHeader({ alg: "ES256", kid: "a" })
    .sign(attacker.privateKey);
  return { published, byJwks, sign, forged };
}

/** Known tokens are answered without a turn of the event loop, in which the keys could come. */
async function untilRefused(ask: () => Caller | null | Promise<Caller | null>): Promise<void> {
  while ((await ask()) !== null) await new Promise(setImmediate);
}

test("JWKS: only the first token of a key waits for it", async (t) => {
  const { byJwks, sign, forged } = await known(t);
  assert.ok(byJwks(forged) instanceof Promise);
  assert.equal(await byJwks(forged), null);
  await byJwks(await sign("41"));
  await byJwks(await sign("41"));
  assert.deepEqual(byJwks(await sign("42")), ofGood);
  assert.equal(byJwks(forged), null);
});

test("while people wait for a start, for however long, they stay known", async (t) => {
  const { byJwks, sign, published } = await known(t);
  await byJwks(await sign("41"));
  const token = await sign("42");
  assert.deepEqual(await byJwks(token), ofGood);
  for (let minute = 1; minute <= 120; minute++) {
    t.mock.timers.tick(60_000);
    const fetches = published.fetches;
    assert.deepEqual(byJwks(token), ofGood, `minute ${minute}`);
    while (published.fetches === fetches) await byJwks(await sign("41"));
    // Its answer has come when a token of another key need not wait for it.
    await assert.doesNotReject(async () => byJwks(await signed("ES256", attacker.privateKey, { kid: "x" })));
  }
});

test("JWKS: known tokens end with their key, at the first fetch that does not have it", async (t) => {
  const { byJwks, sign, published } = await known(t);
  const token = await sign("42");
  for (let i = 0; i < 3; i++) assert.deepEqual(await byJwks(token), ofGood);
  published.keys = [];
  t.mock.timers.tick(29_999);
  assert.deepEqual(byJwks(token), ofGood);
  t.mock.timers.tick(1);
  await untilRefused(() => byJwks(token));
  assert.equal(published.fetches, 2);
});

test("JWKS: known tokens end after an hour without the key server", async (t) => {
  const { byJwks, sign, published } = await known(t);
  const token = await sign("42");
  for (let i = 0; i < 3; i++) assert.deepEqual(await byJwks(token), ofGood);
  published.status = 500;
  t.mock.timers.tick(3_600_000 - 1);
  assert.deepEqual(byJwks(token), ofGood);
  t.mock.timers.tick(1_001);
  await assert.rejects(async () => byJwks(token), isUnavailable);
});

test("JWKS: a key that signs as soon as it is published is found in 5 s, while others keep the keys new", async (t) => {
  const { byJwks, sign, published } = await known(t);
  await byJwks(await sign("41"));
  t.mock.timers.tick(30_000);
  while (published.fetches < 2) await byJwks(await sign("42"));
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
  published.keys = [{ ...(await exportJWK(other.publicKey)), kid: "b", alg: "ES256" }, ...published.keys];
  const token = await new SignJWT(good).setProtectedHeader({ alg: "ES256", kid: "b" }).sign(other.privateKey);
  t.mock.timers.tick(5_000);
  assert.deepEqual(await byJwks(token), ofGood);
});

test("JWKS: a key that comes is found at once, and one that goes takes nobody else along", async (t) => {
  const { byJwks, sign, published } = await known(t);
  await byJwks(await sign("41"));
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const token = await new SignJWT(good).setProtectedHeader({ alg: "ES256", kid: "b" }).sign(other.privateKey);
  published.keys = [...published.keys, { ...(await exportJWK(other.publicKey)), kid: "b", alg: "ES256" }];
  t.mock.timers.tick(30_000);
  assert.deepEqual(await byJwks(token), ofGood);
  published.keys = published.keys.slice(0, 1);
  t.mock.timers.tick(30_000);
  await untilRefused(() => byJwks(token));
  assert.deepEqual(await byJwks(await sign("41")), { ...ofGood, user_id: 41, subject: "41" });
});

test("a known token ends at its exp, not before and not after", async (t) => {
  const { publicKey, privateKey } = pairs.EdDSA;
  const byKey = await byPem(pemOf(publicKey));
  for (const [exp, ends] of [
    [now + 10, 10_000],
    [now + 10.25, 10_250],
  ] as const) {
    t.mock.timers.enable({ apis: ["Date"], now: now * 1_000 });
    const byEd = await new SignJWT({ ...good, exp }).setProtectedHeader({ alg: "EdDSA" }).sign(privateKey);
    for (const [check, token] of [
      [authenticate, await hs256({ ...good, exp })],
      [byKey, byEd],
    ] as const) {
      for (let i = 0; i < 3; i++) assert.deepEqual(check(token), ofGood);
      t.mock.timers.tick(ends - 1);
      assert.deepEqual(check(token), ofGood);
      t.mock.timers.tick(1);
      assert.equal(check(token), null);
      t.mock.timers.setTime(now * 1_000);
    }
    t.mock.timers.reset();
  }
});

test("a token that was wrong is checked each time", async () => {
  const token = await hs256(good);
  for (const wrong of [token.slice(0, -1), `${token}A`, token.replace(/.$/, "?")])
    for (let i = 0; i < 3; i++) assert.equal(authenticate(wrong), null);
  assert.deepEqual(authenticate(token), ofGood);
});

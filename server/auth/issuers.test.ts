/** Several issuers at once: whose keys are asked, what a claim may be, and what a stranger may try. */
import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, type KeyObject } from "node:crypto";
import { type TestContext, test } from "node:test";
import { exportJWK, type JWTPayload, SignJWT } from "jose";
import { readEnv } from "../env.ts";
import { Problem } from "../http/problem.ts";
import { readIssuers } from "../issuer-settings.ts";
import { ALGORITHMS } from "./algorithms.ts";
import { createAuthenticate, signToken } from "./auth.ts";

const secret = "a secret of the tests, long enough for HS256";
const now = Math.floor(Date.now() / 1000);
const A = "https://a.example";
const B = "https://b.example/";
const pairs = {
  a: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  b: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  other: generateKeyPairSync("rsa", { modulusLength: 2048 }),
};
const good = { iss: A, aud: "shop", sub: "ann", user_id: 42, exp: now + 86_400 };
const ofGood = { role: "user", user_id: 42, subject: "42" };
const pemOf = (key: KeyObject) => key.export({ type: "spki", format: "pem" }).toString();
const jwkOf = async (key: KeyObject, members: object = { kid: "k" }) => ({
  ...(await exportJWK(key)),
  ...members,
});

function signed(
  claims: JWTPayload,
  key = pairs.a.privateKey,
  header: object = { kid: "k" },
): Promise<string> {
  const alg = key.asymmetricKeyType === "rsa" ? "RS256" : "ES256";
  return new SignJWT(claims).setProtectedHeader({ alg, ...header }).sign(key);
}

/** What addresses answer, which a test may change, and which were asked. */
function internet(t: TestContext) {
  const web = { asked: [] as string[], pages: new Map<string, unknown>() };
  t.mock.method(globalThis, "fetch", async (url: string) => {
    web.asked.push(url);
    const page = web.pages.get(url);
    if (page instanceof Error) throw page;
    if (page instanceof Response) return page.clone();
    return page === undefined ? new Response(null, { status: 503 }) : Response.json(page);
  });
  return web;
}

const create = (issuers: object[], settings: object = {}, report?: (error: unknown) => void) =>
  createAuthenticate(readEnv({ JWT_ISSUERS: JSON.stringify(issuers), ...settings }), report);

const isUnavailable = (error: unknown) =>
  error instanceof Problem && error.status === 503 && error.members.outcome === "keys_unavailable";

const byPem = { issuer: A, audience: "shop", user_id: "user_id", public_key: pemOf(pairs.a.publicKey) };
const aJwks = { issuer: A, audience: "shop", user_id: "user_id", jwks: `${A}/keys` };
const bJwks = { issuer: B, audience: "shop", user_id: "user_id", jwks: "https://keys.b.example/keys" };

// ---- Claims ---------------------------------------------------------------------------------------------------------

const roles = {
  staff: "admin",
  shop: "service",
  till: "till",
  issuer: "service:issue",
  reader: "service:read",
  all: "user",
  true: "till",
} as const;
const admin = { role: "admin", subject: `ann of ${A}` };
const service = { role: "service", subject: `ann of ${A}` };
const till = { role: "till", subject: `ann of ${A}` };
for (const [role, claims, caller] of [
  ["role", { role: "staff" }, admin],
  ["role", { role: ["x", "staff"] }, admin],
  ["role", { role: ["all", "till", "shop"] }, service],
  ["role", { role: ["till", "staff", "shop"] }, admin],
  ["role", { role: ["all", "till"] }, till],
  ["role", { role: "issuer" }, { ...service, scopes: ["issue"] }],
  ["role", { role: ["reader", "till", "all"] }, { ...service, scopes: ["read", "use"] }],
  ["role", { role: ["reader", "shop"] }, service],
  ["scope", { scope: "openid issuer reader" }, { ...service, scopes: ["issue", "read"] }],
  ["role", { role: true }, till],
  ["role", { role: "staff", scope: "openid use" }, admin],
  ["role", { role: "shop", scope: ["use"] }, service],
  ["role", { role: "service", scope: "use" }, ofGood],
  ["role", {}, ofGood],
  ["role", { role: "not staff" }, ofGood],
  ["role", { role: "Staff" }, ofGood],
  ["role", { role: "admin" }, ofGood],
  ["role", { role: null }, ofGood],
  ["role", { role: 7 }, ofGood],
  ["role", { role: 5 }, admin],
  ["role", { role: [5] }, admin],
  ["role", { role: 5.5 }, ofGood],
  ["role", { role: { staff: { 69234: "shop.example" }, x: { 69234: "shop.example" } } }, admin],
  ["role", { role: [{ x: { 69234: "shop.example" } }, { till: { 69234: "shop.example" } }] }, till],
  ["role", { role: { x: { staff: "shop.example" } } }, ofGood],
  ["role", JSON.parse('{"role": {"__proto__": {"staff": {"a": "b"}}}}'), ofGood],
  ["role", { role: { staff: true } }, ofGood],
  ["role", { role: { staff: ["shop.example"] } }, ofGood],
  ["role", { role: { staff: null } }, ofGood],
  ["role", { role: [["staff"]] }, ofGood],
  ["role", { role: [null, 7, {}] }, ofGood],
  ["role", { role: Array.from({ length: 1_000 }, (_, i) => `r${i}`) }, ofGood],
  ["role", { role: "constructor" }, ofGood],
  ["role", { role: "__proto__" }, ofGood],
  ["scope", { scope: "openid staff" }, admin],
  ["scope", { scope: "openid staff-x" }, ofGood],
  ["scp", { scp: ["openid", "shop"] }, service],
  ["scp", { scp: "shop staff" }, admin],
  ["realm_access.roles", { realm_access: { roles: ["staff"] } }, admin],
  ["realm_access.roles", { "realm_access.roles": ["staff"] }, ofGood],
  ["realm_access.roles", { realm_access: ["staff"] }, ofGood],
  ["realm_access.roles", { realm_access: "staff" }, ofGood],
  [["a.b", "roles"], { "a.b": { roles: "shop" } }, service],
  ["https://shop.example/roles", { "https://shop.example/roles": ["staff"] }, admin],
  ["cognito:groups", { "cognito:groups": ["staff"] }, admin],
  ["__proto__.roles", JSON.parse('{"__proto__": {"roles": ["staff"]}}'), admin],
  ["__proto__.roles", {}, ofGood],
  ["constructor.name", {}, ofGood],
  ["role.length", { role: "staff" }, ofGood],
] as const)
  test(`role at ${role}: ${JSON.stringify(claims).slice(0, 60)}`, async () => {
    const authenticate = await create([{ ...byPem, role, roles: { ...roles, Object: "admin", 5: "admin" } }]);
    const token = await signed(
      Object.hasOwn(claims, "__proto__") ? Object.assign(claims, good) : { ...good, ...claims },
    );
    for (let i = 0; i < 2; i++) assert.deepEqual(await authenticate(token), caller);
  });

for (const [user_id, number] of [
  [42, 42],
  ["42", 42],
  [2 ** 53 - 1, 2 ** 53 - 1],
  ...["", "0", "042", "4.2", "1e3", " 42", 0, -1, 4.2, 2 ** 53, null, true, [42], { 0: 42 }].map((id) => [
    id,
    null,
  ]),
] as const)
  test(`the user_id ${JSON.stringify(user_id)}`, async () => {
    const authenticate = await create([byPem]);
    const caller = await authenticate(await signed({ ...good, user_id }));
    assert.deepEqual(caller, number && { role: "user", user_id: number, subject: `${number}` });
  });

test("a subject is never taken for the number of a user", async () => {
  const { user_id: _, ...rest } = good;
  for (const settings of [byPem, { ...byPem, user_id: undefined }])
    assert.equal(await (await create([settings]))(await signed({ ...rest, sub: "1" })), null);
  const bySubject = await create([{ ...byPem, user_id: "sub" }]);
  assert.deepEqual(await bySubject(await signed({ ...rest, sub: "1" })), {
    role: "user",
    user_id: 1,
    subject: "1",
  });
});

for (const [audience, audience_claim, claims, isGood] of [
  ["shop", "aud", { aud: ["x", "shop"] }, true],
  [["shop", "web"], "aud", { aud: "web" }, true],
  [["shop", "web"], "aud", { aud: ["x", "web"] }, true],
  ["shop", "aud", { aud: [] }, false],
  ["shop", "aud", { aud: ["shop "] }, false],
  ["shop", "aud", { aud: [["shop"]] }, false],
  ["shop", "aud", { aud: { shop: "shop" } }, false],
  ["shop", "aud", { aud: undefined, client_id: "shop" }, false],
  // Cognito's access tokens.
  ["shop", "client_id", { aud: undefined, client_id: "shop", token_use: "access" }, true],
  ["shop", "client_id", { aud: "shop", client_id: "x" }, false],
] as const)
  test(`${JSON.stringify(claims)} for ${audience}: ${isGood ? "good" : "not good"}`, async () => {
    const authenticate = await create([{ ...byPem, audience, audience_claim }]);
    const token = await signed({ ...good, ...claims } as JWTPayload);
    assert.deepEqual(await authenticate(token), isGood ? ofGood : null);
  });

test("names that are too long for the audit are nobody's, and other issuers' are never ours", async () => {
  const authenticate = await create([{ ...byPem, roles: { s: "service" } }], { JWT_SECRET: secret });
  const named = async (sub: string) => authenticate(await signed({ ...good, role: "s", sub }));
  const room = 200 - ` of ${A}`.length;
  assert.deepEqual(await named("x".repeat(room)), {
    role: "service",
    subject: `${"x".repeat(room)} of ${A}`,
  });
  assert.equal(await named("x".repeat(room + 1)), null);
  for (const sub of ["", "a\0b", "a\ud83c"]) assert.equal(await named(sub), null);
  const own = await authenticate(signToken(secret, readEnv({}), { role: "service", subject: "shop" }));
  assert.deepEqual([own?.subject, (await named("shop"))?.subject], ["shop", `shop of ${A}`]);
});

// ---- Whose keys -----------------------------------------------------------------------------------------------------

test("an unknown issuer, and one that differs by a slash, ask for no key", async (t) => {
  const web = internet(t);
  const authenticate = await create([aJwks, bJwks]);
  for (const iss of [
    `${A}/`,
    B.slice(0, -1),
    A.toUpperCase(),
    "https://c.example",
    "",
    1,
    null,
    [A],
    { [A]: A },
  ])
    assert.equal(authenticate(await signed({ ...good, iss } as JWTPayload)), null);
  assert.deepEqual(web.asked, []);
});

test("no key, algorithm or secret of one issuer is good for another, whatever it is called", async (t) => {
  const web = internet(t);
  web.pages.set(aJwks.jwks, { keys: [await jwkOf(pairs.a.publicKey)] });
  web.pages.set(bJwks.jwks, { keys: [await jwkOf(pairs.b.publicKey)] });
  const authenticate = await create([aJwks, bJwks], { JWT_SECRET: secret });
  const ofB = { ...good, iss: B };
  const ours = { ...good, iss: "coupon-drop", aud: "coupon-drop", sub: "42", role: "user" };
  // Both keys have the same kid, and both are remembered when the others come.
  for (let i = 0; i < 2; i++) {
    assert.deepEqual(await authenticate(await signed(good)), ofGood);
    assert.deepEqual(await authenticate(await signed(ofB, pairs.b.privateKey)), ofGood);
    assert.equal(await authenticate(await signed(ofB)), null);
    assert.equal(await authenticate(await signed(good, pairs.b.privateKey)), null);
    assert.equal(await authenticate(await signed(ours)), null);
  }
  const hs256 = (claims: object, key: string | Buffer) => {
    const [head, body] = [{ alg: "HS256", kid: "k" }, claims].map((part) =>
      Buffer.from(JSON.stringify(part)).toString("base64url"),
    );
    return `${head}.${body}.${createHmac("sha256", key).update(`${head}.${body}`).digest("base64url")}`;
  };
  assert.deepEqual(await authenticate(hs256(ours, secret)), ofGood);
  for (const key of [secret, pemOf(pairs.a.publicKey), Buffer.alloc(0)])
    for (const claims of [good, ofB]) assert.equal(await authenticate(hs256(claims, key)), null);
});

test("only the algorithms that an issuer is set to have", async (t) => {
  const web = internet(t);
  web.pages.set(aJwks.jwks, { keys: [await jwkOf(pairs.a.publicKey)] });
  const by = (alg: string) =>
    new SignJWT(good).setProtectedHeader({ alg, kid: "k" }).sign(pairs.a.privateKey);
  for (const settings of [byPem, aJwks])
    for (const [algorithms, taken] of [
      [["RS256"], [true, false]],
      [["PS256"], [false, true]],
      [
        ["RS256", "PS256"],
        [true, true],
      ],
    ] as const) {
      const authenticate = await create([{ ...settings, algorithms }]);
      const callers = [await authenticate(await by("RS256")), await authenticate(await by("PS256"))];
      assert.deepEqual(
        callers.map((caller) => caller !== null),
        taken,
      );
    }
});

const NOT_FOUND = "cannot be fetched: getaddrinfo ENOTFOUND a.example";
const SLOW = "cannot be fetched: ETIMEDOUT";

test("a failure to fetch keys tells their address without its query, which may hold a secret", async (t) => {
  const web = internet(t);
  for (const [page, why] of [
    [undefined, "was answered with 503"],
    [{}, "has no list of keys"],
    [null, "is no object"],
    [new Response("<p>Soon back, hush"), "is no JSON"],
    [new TypeError("fetch failed", { cause: new Error("getaddrinfo ENOTFOUND a.example") }), NOT_FOUND],
    [
      new TypeError("fetch failed", { cause: Object.assign(new AggregateError([]), { code: "ETIMEDOUT" }) }),
      SLOW,
    ],
    [new DOMException("The operation was aborted", "TimeoutError"), "did not answer in 5 s"],
  ] as const) {
    web.pages.set(`${A}/keys?code=hush`, page);
    const authenticate = await create([{ ...aJwks, jwks: `${A}/keys?code=hush` }]);
    await assert.rejects(
      async () => authenticate(await signed(good)),
      ({ cause }: Error) => (cause as Error).message === `${A}/keys ${why}`,
    );
  }
});

test("where one issuer's keys cannot be had, its tokens get 503, and no other's", async (t) => {
  const web = internet(t);
  web.pages.set(aJwks.jwks, { keys: [await jwkOf(pairs.a.publicKey)] });
  const authenticate = await create([bJwks, aJwks]);
  for (let i = 0; i < 3; i++) {
    await assert.rejects(
      async () => authenticate(await signed({ ...good, iss: B }, pairs.b.privateKey)),
      isUnavailable,
    );
    assert.deepEqual(await authenticate(await signed(good)), ofGood);
  }
  assert.equal(web.asked.filter((url) => url === aJwks.jwks).length, 1);
});

test("who is refused together, since keys cannot be had, does not come back together", async (t) => {
  internet(t);
  const authenticate = await create([aJwks]);
  const token = await signed(good);
  const refused = await Promise.allSettled(Array.from({ length: 20 }, async () => authenticate(token)));
  const waits = refused.map((each) => (each as { reason: Problem }).reason.members.retryAfter as number);
  assert.ok(waits.every((wait) => wait >= 1 && wait <= 3));
  assert.ok(new Set(waits).size > 1);
});

for (const order of [
  [aJwks, bJwks],
  [bJwks, aJwks],
])
  test(`one issuer's new keys end its known tokens, and no other's: ${order.map(({ issuer }) => issuer)}`, async (t) => {
    t.mock.timers.enable({ apis: ["Date"], now: now * 1_000 });
    const web = internet(t);
    web.pages.set(aJwks.jwks, { keys: [await jwkOf(pairs.a.publicKey)] });
    web.pages.set(bJwks.jwks, { keys: [await jwkOf(pairs.b.publicKey)] });
    const authenticate = await create(order);
    const [ofA, ofB] = [await signed(good), await signed({ ...good, iss: B }, pairs.b.privateKey)];
    // The first one waits for the keys, the second is remembered.
    for (const token of [ofA, ofB, ofA, ofB]) assert.deepEqual(await authenticate(token), ofGood);
    web.pages.set(aJwks.jwks, { keys: [await jwkOf(pairs.other.publicKey)] });
    t.mock.timers.tick(30_000);
    let last = await authenticate(ofA);
    for (let i = 0; last !== null && i < 10_000; i++) {
      await new Promise(setImmediate);
      last = await authenticate(ofA);
    }
    assert.equal(last, null);
    const asked = web.asked.length;
    // Known: answered in place, though its keys are now old enough to be asked for.
    assert.deepEqual(authenticate(ofB), ofGood);
    assert.ok(web.asked.length <= asked + 1);
    assert.deepEqual(await authenticate(await signed(good, pairs.other.privateKey)), ofGood);
  });

test("published keys of other kinds, and what is no key, are passed over", async (t) => {
  const web = internet(t);
  const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
  web.pages.set(aJwks.jwks, {
    keys: [
      null,
      "k",
      7,
      [],
      {},
      { kty: "AKP", alg: "ML-DSA-44", pub: "AA", kid: "k" },
      { kty: "oct", k: "c2VjcmV0", kid: "k" },
      { kty: "RSA", kid: "k" },
      { kty: "RSA", n: "AQAB", e: "AQAB", kid: "k" },
      { kty: "EC", crv: "secp999", x: "AA", y: "AA", kid: "k" },
      await jwkOf(p384.publicKey),
      await jwkOf(pairs.other.publicKey, { kid: "k", use: "enc" }),
      await jwkOf(pairs.a.publicKey),
    ],
  });
  const authenticate = await create([aJwks]);
  assert.deepEqual(await authenticate(await signed(good)), ofGood);
  assert.equal(await authenticate(await signed(good, pairs.other.privateKey)), null);
});

/** Published together: each signs tokens. */
for (const [what, kid, header] of [
  ["of one name", "k", { kid: "k" }],
  ["without a name, and tokens that name none", undefined, { kid: undefined }],
  ["with names, and tokens that name none", "k", { kid: undefined }],
] as const)
  test(`several keys ${what}: a token by any of them is good, and by no other`, async (t) => {
    const web = internet(t);
    const [third, ec] = [generateKeyPairSync("rsa", { modulusLength: 2048 }), pairs.b];
    const keys = [pairs.a, third, ec].map(({ publicKey }) =>
      jwkOf(publicKey, kid === undefined ? {} : { kid }),
    );
    web.pages.set(aJwks.jwks, { keys: await Promise.all(keys) });
    const authenticate = await create([aJwks]);
    for (let i = 0; i < 3; i++) {
      for (const { privateKey } of [third, ec, pairs.a])
        assert.deepEqual(await authenticate(await signed(good, privateKey, header)), ofGood);
      assert.equal(await authenticate(await signed(good, pairs.other.privateKey, header)), null);
    }
    assert.equal(web.asked.length, 1);
  });

test("what is published beside a key changes nothing, nor does a private half", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: now * 1_000 });
  const web = internet(t);
  const publish = async (members: object) => {
    const { kty, ...rest } = await jwkOf(pairs.a.privateKey, { kid: "k", ...members });
    web.pages.set(aJwks.jwks, { keys: [{ ...rest, kty }] });
  };
  const token = await signed(good);
  let authenticate = await create([aJwks]);
  for (const [members, isGood] of [
    [{ key_ops: ["sign", "verify"] }, true],
    [{ key_ops: ["verify"], use: "sig", alg: "RS256", x5c: ["AA"], x5t: "AA", exp: 1 }, true],
    [{ ext: false }, true],
    [{ key_ops: ["sign"] }, false],
    [{ key_ops: "verify" }, false],
    [{ use: "enc" }, false],
    [{ alg: "RS512" }, false],
  ] as const) {
    await publish(members);
    authenticate = await create([aJwks]);
    assert.deepEqual(await authenticate(token), isGood ? ofGood : null, JSON.stringify(members));
  }
  // Whoever is known stays known.
  await publish({});
  authenticate = await create([aJwks]);
  for (let i = 0; i < 2; i++) assert.deepEqual(await authenticate(token), ofGood);
  await publish({ use: undefined, exp: 2, iat: 1 });
  t.mock.timers.tick(30_000);
  const asked = web.asked.length;
  assert.deepEqual(authenticate(token), ofGood);
  assert.equal(await authenticate(await signed(good, pairs.other.privateKey, { kid: "x" })), null);
  assert.equal(web.asked.length, asked + 1);
  assert.deepEqual(authenticate(token), ofGood);
});

for (const [what, page] of Object.entries({
  "no keys": {},
  "keys that are no list": { keys: { k: 1 } },
  "a list": [],
  null: null,
  text: new Response("<html>"),
  "a redirect": new Response(null, { status: 302, headers: { location: `${A}/keys` } }),
}))
  test(`published keys that are ${what}: 503`, async (t) => {
    internet(t).pages.set(aJwks.jwks, page);
    const authenticate = await create([aJwks]);
    await assert.rejects(async () => authenticate(await signed(good)), isUnavailable);
  });

/** Blanks, which JSON may begin with, and behind four mebibytes a document after all. */
function endless(status: number, document: unknown) {
  const seen = { parts: 0, isLeft: false };
  const blanks = new Uint8Array(65_536).fill(32);
  const body = new ReadableStream({
    pull(controller) {
      seen.parts += 1;
      if (seen.parts <= 64) return controller.enqueue(blanks);
      controller.enqueue(Buffer.from(JSON.stringify(document)));
      controller.close();
    },
    cancel() {
      seen.isLeft = true;
    },
  });
  return { seen, response: new Response(body, { status }) };
}

for (const [what, settings, status, document, why] of [
  ["keys", aJwks, 200, { keys: [] }, `${A}/keys has more than 1048576 bytes`],
  ["keys that are an error", aJwks, 500, {}, `${A}/keys was answered with 500`],
  [
    "what an issuer says of itself",
    { issuer: A, audience: "shop", user_id: "user_id" },
    200,
    { issuer: A, jwks_uri: `${A}/keys` },
    `${A}/.well-known/openid-configuration has more than 1048576 bytes`,
  ],
] as const)
  test(`${what}, without end: a mebibyte is read, and 503`, async (t) => {
    const { seen, response } = endless(status, document);
    t.mock.method(globalThis, "fetch", async () => response);
    const authenticate = await create([settings]);
    const refused = async () => authenticate(await signed(good));
    await assert.rejects(refused, ({ cause }: Error) => (cause as Error).message === why);
    assert.equal(seen.isLeft, true);
    assert.ok(seen.parts <= 18, `${seen.parts}`);
  });

// ---- Discovery ------------------------------------------------------------------------------------------------------

const discovery = { issuer: A, audience: "shop", user_id: "user_id" };
const SELF = `${A}/.well-known/openid-configuration`;

test("an issuer says where its keys are, each time that they are fetched", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: now * 1_000 });
  const web = internet(t);
  const [first, second] = ["https://keys.example/1", "https://keys.example/2"];
  web.pages.set(SELF, { issuer: A, jwks_uri: first });
  web.pages.set(first, { keys: [await jwkOf(pairs.a.publicKey)] });
  const reported: unknown[] = [];
  const authenticate = await create([discovery], {}, (error) => reported.push(error));
  const asked = () => web.asked.splice(0);
  const token = await signed(good);
  assert.deepEqual(
    await Promise.all(Array.from({ length: 20 }, () => authenticate(token))),
    Array(20).fill(ofGood),
  );
  assert.deepEqual(asked(), [SELF, first]);
  assert.deepEqual(await authenticate(token), ofGood);
  assert.deepEqual(asked(), []);

  // It moves its keys, and what is at the former address goes on answering.
  const other = () => signed(good, pairs.other.privateKey, { kid: "new" });
  web.pages.set(SELF, { issuer: A, jwks_uri: second });
  web.pages.set(second, { keys: [await jwkOf(pairs.other.publicKey, { kid: "new" })] });
  t.mock.timers.tick(30_000);
  assert.deepEqual(await authenticate(await other()), ofGood);
  assert.deepEqual(asked(), [SELF, second]);
  assert.equal(await authenticate(token), null, "its key is not there");

  // While it does not say it, they are where it said last.
  web.pages.delete(SELF);
  t.mock.timers.tick(30_000);
  assert.equal(await authenticate(token), null);
  assert.deepEqual([asked(), reported.length], [[SELF, second], 1]);
  assert.deepEqual(await authenticate(await other()), ofGood);
  web.pages.delete(second);
  t.mock.timers.tick(30_000);
  await assert.rejects(async () => authenticate(token), isUnavailable);
  assert.deepEqual(
    await authenticate(await other()),
    ofGood,
    "while they cannot be had, known keys are good",
  );
});

test("a slash at the end of an issuer is not doubled", async (t) => {
  const web = internet(t);
  web.pages.set("https://b.example/.well-known/openid-configuration", { issuer: B, jwks_uri: bJwks.jwks });
  web.pages.set(bJwks.jwks, { keys: [await jwkOf(pairs.b.publicKey)] });
  const authenticate = await create([{ ...discovery, issuer: B }]);
  assert.deepEqual(await authenticate(await signed({ ...good, iss: B }, pairs.b.privateKey)), ofGood);
});

test("an issuer in clear, as of a machine's own: its keys may be in clear too", async (t) => {
  const web = internet(t);
  const issuer = "http://127.0.0.1:8080/realms/shop";
  const jwks_uri = "http://127.0.0.1:8080/keys";
  web.pages.set(`${issuer}/.well-known/openid-configuration`, { issuer, jwks_uri });
  web.pages.set(jwks_uri, { keys: [await jwkOf(pairs.a.publicKey)] });
  const authenticate = await create([{ ...discovery, issuer }]);
  assert.deepEqual(await authenticate(await signed({ ...good, iss: issuer })), ofGood);
});

for (const [what, page] of Object.entries({
  "of another issuer": { issuer: `${A}/`, jwks_uri: `${A}/keys` },
  "of nobody": { jwks_uri: `${A}/keys` },
  "without an address": { issuer: A },
  "with an address in clear": { issuer: A, jwks_uri: "http://a.example/keys" },
  "with an address of another kind": { issuer: A, jwks_uri: "file:///etc/passwd" },
  "with a password in the address": { issuer: A, jwks_uri: "https://u:p@a.example/keys" },
  "with a list for an address": { issuer: A, jwks_uri: [`${A}/keys`] },
  "that is a redirect": new Response(null, { status: 301, headers: { location: `${A}/x` } }),
}))
  test(`a document ${what}: 503, and no key is asked for`, async (t) => {
    const web = internet(t);
    web.pages.set(SELF, page);
    for (const scheme of ["https", "http"])
      web.pages.set(`${scheme}://a.example/keys`, { keys: [await jwkOf(pairs.a.publicKey)] });
    const authenticate = await create([discovery]);
    await assert.rejects(async () => authenticate(await signed(good)), isUnavailable);
    assert.deepEqual(web.asked, [SELF]);
  });

// ---- Settings -------------------------------------------------------------------------------------------------------

const least = { issuer: A, audience: "shop" };

test("an issuer may have every algorithm of public keys", () =>
  assert.deepEqual(
    readIssuers(JSON.stringify([least]))[0]?.algorithms,
    [...ALGORITHMS.keys()].filter((name) => name !== "HS256"),
  ));

for (const [what, given, message] of [
  ["no JSON", "shop", "must be a list in JSON, in brackets: [{…}]"],
  ["no list", least, "must be a list in JSON, in brackets: [{…}]"],
  ["nobody", [], "names no issuer"],
  ["no issuer and no audience", [{}], "0.issuer is needed, 0.audience is needed"],
  ["no audience", [{ issuer: A }], "0.audience is needed"],
  [
    "an audience that is a number",
    [{ ...least, audience: 7 }],
    "0.audience must be a text or a list of texts",
  ],
  ["one twice", [byPem, { ...byPem, issuer: B }, { ...byPem, audience: "x" }], `names the issuer ${A} twice`],
  [
    "no key",
    [{ ...byPem, public_key: "-----BEGIN PUBLIC KEY-----\nAA" }],
    "0.public_key must be a public key in PEM (SPKI)",
  ],
  [
    "audience of nobody",
    [{ ...least, audience: [] }],
    "0.audience Too small: expected array to have >=1 items",
  ],
  ["a member that there is not", [{ ...least, scope: "x" }], '0 Unrecognized key: "scope"'],
  [
    "an unknown role",
    [{ ...least, roles: { x: "owner" } }],
    '0.roles.x Invalid option: expected one of "user"|"till"|"service:issue"|"service:read"|"service"|"admin"',
  ],
  ["a path with a hole", [{ ...least, role: "a..b" }], "0.role is no path of a claim"],
  ["two ways to keys", [{ ...byPem, jwks: `${A}/keys` }], "0 has jwks and public_key: leave one of them"],
  ...[
    ...["shop", "https://a b", "https:// /", "https:///", "https://h ", "https://u:p@h"],
    ...["https://h?x", "https://h#x", "ftp://h", "https://h:x", " https://h"],
  ].map(
    (issuer) =>
      [
        `no way to keys: ${issuer}`,
        [{ ...least, issuer }],
        "0 needs jwks or public_key, since its issuer is no address that could say where its keys are",
      ] as const,
  ),
  ...["file:///etc/keys", "https://u:p@h/keys", "https://u@h/keys", "https:// /", "h/keys", ""].map(
    (jwks) =>
      [
        `no address of keys: ${jwks}`,
        [{ ...least, jwks }],
        "0.jwks must be a URL of http or https, without a name or a password in it",
      ] as const,
  ),
  [
    "a secret for a key",
    [{ ...least, algorithms: ["HS256"] }],
    '0.algorithms.0 Invalid option: expected one of "RS256"|"PS256"|"ES256"|"EdDSA"|"Ed25519"',
  ],
] as const)
  test(`JWT_ISSUERS: ${what}`, () =>
    assert.throws(() => readEnv({ JWT_ISSUERS: typeof given === "string" ? given : JSON.stringify(given) }), {
      message: `the environment is wrong. JWT_ISSUERS: ${message}`,
    }));

for (const [what, issuers, settings, message] of [
  ["our own", [byPem], { JWT_SECRET: secret, JWT_ISSUER: A }, `JWT_ISSUERS: the issuer ${A} is JWT_ISSUER`],
  [
    "another algorithm",
    [{ ...byPem, algorithms: ["ES256"] }],
    {},
    `JWT_ISSUERS: public_key of ${A} fits none of ES256`,
  ],
  [
    "a key of another kind",
    [{ ...byPem, public_key: pemOf(generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey) }],
    {},
    `JWT_ISSUERS: public_key of ${A}: no RSA (2048 bits or more), P-256 or Ed25519 key`,
  ],
] as const)
  test(`JWT_ISSUERS, refused at start: ${what}`, () =>
    assert.rejects(create([...issuers], settings), { message }));

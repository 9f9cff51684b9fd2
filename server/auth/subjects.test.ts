/** Users who are known by their subjects: asked for once for each token, and remembered by their number. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { type JWTPayload, SignJWT } from "jose";
import { readEnv } from "../env.ts";
import { Problem } from "../http/problem.ts";
import { createAuthenticate, type Resolve } from "./auth.ts";

const A = "https://a.example/";
const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
const public_key = pair.publicKey.export({ type: "spki", format: "pem" }).toString();
const now = Math.floor(Date.now() / 1000);
const FIRST = 2 ** 52;

const signed = (claims: JWTPayload, key = pair.privateKey) =>
  new SignJWT({ iss: A, aud: "shop", sub: "ann", exp: now + 3_600, ...claims })
    .setProtectedHeader({ alg: "RS256" })
    .sign(key);

type Asked = [...Parameters<Resolve>];

/** Of one provider; `answer` is what the database would say. */
async function create(
  settings: object = {},
  answer: (subject: string) => Promise<number | null> = async () => FIRST,
) {
  const asked: Asked[] = [];
  const authenticate = await createAuthenticate(
    readEnv({
      JWT_ISSUERS: JSON.stringify([
        { issuer: A, audience: "shop", public_key, users: "create", ...settings },
      ]),
    }),
    () => {},
    {
      resolve: (...question) => {
        asked.push(question);
        return answer(question[0].subject);
      },
    },
  );
  return { authenticate, asked };
}

const ofFirst = { role: "user", user_id: FIRST, subject: `${FIRST}` };
const isForbidden = (error: unknown) => error instanceof Problem && error.status === 403;

test("asked for once; who is known by its token is told at once, and so is a number beyond 32 bits", async () => {
  const { authenticate, asked } = await create();
  const token = await signed({ name: "Ann" });
  assert.deepEqual(await authenticate(token), ofFirst);
  assert.deepEqual(asked, [[{ issuer: A, subject: "ann", displayName: "Ann" }, true]]);
  for (let i = 0; i < 3; i++) {
    const told = authenticate(token);
    assert.ok(!(told instanceof Promise));
    assert.deepEqual(told, ofFirst);
  }
  assert.equal(asked.length, 1);
  assert.deepEqual(await authenticate(await signed({ jti: "another" })), ofFirst);
  assert.equal(asked.length, 2);
});

test("the short way and the routes ask for the same token while it is resolved: once", async () => {
  let answer: (id: number) => void = () => {};
  const { authenticate, asked } = await create({}, () => new Promise((resolve) => (answer = resolve)));
  const token = await signed({});
  const [first, second] = [authenticate(token), authenticate(token)];
  assert.ok(first === second);
  answer(FIRST);
  assert.deepEqual([await first, await second, asked.length], [ofFirst, ofFirst, 1]);
});

test("nothing is asked for a token that is not valid", async () => {
  const { authenticate, asked } = await create();
  const other = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  for (const claims of [
    { aud: "another" },
    { exp: now - 1 },
    { iss: "https://b.example/" },
    { sub: "" },
    { sub: 7 },
  ])
    assert.equal(await authenticate(await signed(claims as JWTPayload)), null, JSON.stringify(claims));
  assert.equal(await authenticate(await signed({}, other)), null);
  assert.equal(asked.length, 0);
});

test("known: nobody is created, and who is nobody is told so, again until that changes", async () => {
  let answer: number | null = null;
  const { authenticate, asked } = await create({ users: "known" }, async () => answer);
  const token = await signed({});
  for (let i = 0; i < 2; i++) await assert.rejects(async () => authenticate(token), isForbidden);
  answer = FIRST;
  assert.deepEqual(await authenticate(token), ofFirst);
  assert.deepEqual(
    asked.map(([, creating]) => creating),
    [false, false, false],
  );
});

test("what fails is thrown and not remembered", async () => {
  let error: Error | undefined = new Error("no database");
  const { authenticate } = await create({}, async () => {
    if (error) throw error;
    return FIRST;
  });
  const token = await signed({});
  await assert.rejects(async () => authenticate(token), error);
  error = undefined;
  assert.deepEqual(await authenticate(token), ofFirst);
});

test("services and admins have no number, and are not asked for", async () => {
  const { authenticate, asked } = await create({ roles: { shop: "service", staff: "admin" } });
  for (const [role, ours] of [
    ["shop", "service"],
    ["staff", "admin"],
  ])
    assert.deepEqual(await authenticate(await signed({ role })), { role: ours, subject: `ann of ${A}` });
  assert.equal(asked.length, 0);
});

for (const [display_name, claims, displayName] of [
  [undefined, { name: "Ann" }, "Ann"],
  [undefined, { name: "  Ann Lee " }, "Ann Lee"],
  [undefined, {}, null],
  [undefined, { name: "" }, null],
  [undefined, { name: "   " }, null],
  [undefined, { name: 7 }, null],
  [undefined, { name: ["Ann"] }, null],
  [undefined, { name: "a\0b" }, null],
  [undefined, { name: "😀".repeat(300) }, "😀".repeat(200)],
  ["profile.nick", { name: "Ann", profile: { nick: "annie" } }, "annie"],
  ["https://shop.example/name", { "https://shop.example/name": "Ann" }, "Ann"],
  ["email", { name: "Ann" }, null],
] as const)
  test(`the name at ${display_name ?? "name"}: ${JSON.stringify(claims).slice(0, 50)}`, async () => {
    const { authenticate, asked } = await create(display_name === undefined ? {} : { display_name });
    await authenticate(await signed(claims));
    assert.equal(asked[0]?.[0].displayName, displayName);
  });

/** What each provider's subject looks like, and where it is. */
for (const [name, sub, settings, claims] of [
  ["Auth0", "auth0|656f1a2b3c4d5e6f7a8b9c0d", {}, {}],
  ["Keycloak", "f81d4fae-7dec-41d0-a765-00a0c91e6bf6", {}, {}],
  ["Supabase", "9d3f1f6e-5a2b-4c8d-8e7f-6a5b4c3d2e1f", {}, {}],
  ["Firebase", "ZGlhbW9uZHMAAAABBBB1234567", {}, { user_id: "ZGlhbW9uZHMAAAABBBB1234567" }],
  ["Cognito", "93a4b8f2-60d1-70b2-5c3e-1a2b3c4d5e6f", {}, {}],
  [
    "Entra ID",
    "690222be-ff1a-4d56-abd1-7e4f7d38e474",
    { subject: "oid" },
    { sub: "pairwise", oid: "690222be-ff1a-4d56-abd1-7e4f7d38e474" },
  ],
  ["Okta", "ann@shop.example", {}, { uid: "00u1b2c3d4e5f6g7h8i9" }],
  ["digits, which are no number of ours", "42", {}, {}],
] as const)
  test(`the subject of ${name}`, async () => {
    const { authenticate, asked } = await create(settings);
    assert.deepEqual(await authenticate(await signed({ sub, ...claims })), ofFirst);
    assert.equal(asked[0]?.[0].subject, sub);
  });

test("a number in a claim and a subject are two ways: one of them", () =>
  assert.rejects(create({ user_id: "user_id" }), /has user_id and users: leave one of them/));

test("users that are neither known nor created", () => assert.rejects(create({ users: "all" }), /users/));

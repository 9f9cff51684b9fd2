/** The tokens of identity providers in the shapes that they document, with the lines of settings that the manual has for them. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { exportJWK, type JWTPayload, SignJWT } from "jose";
import type { Caller } from "../api/caller.ts";
import { readEnv } from "../env.ts";
import { createAuthenticate } from "./auth.ts";

const now = Math.floor(Date.now() / 1000);
const times = { iat: now, exp: now + 3_600 };
const rsa = () => generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = () => generateKeyPairSync("ec", { namedCurve: "P-256" });

/** Each: a user's token as it is issued without any role of ours, and what an admin's or a service's has besides. */
const providers: {
  name: string;
  alg: string;
  pair: ReturnType<typeof rsa>;
  /** The claim that says what the token is for, where that is not aud. */
  audience?: string;
  /** Members of the published key besides its numbers. */
  jwk: object;
  user: JWTPayload;
  others: { role: "admin" | "service"; claims: JWTPayload; subject: string }[];
}[] = [
  {
    name: "Auth0",
    alg: "RS256",
    pair: rsa(),
    jwk: { use: "sig", alg: "RS256", x5t: "x", x5c: ["x"] },
    user: {
      iss: "https://shop.eu.auth0.com/",
      sub: "auth0|656f1a2b3c4d5e6f7a8b9c0d",
      aud: ["https://api.shop.example", "https://shop.eu.auth0.com/userinfo"],
      azp: "QmFzZTY0Q2xpZW50SWQ",
      scope: "openid profile email",
      permissions: [],
      "https://shop.example/user_id": 42,
    },
    others: [
      {
        role: "admin",
        claims: { "https://shop.example/roles": ["editor", "coupon-admin"] },
        subject: "auth0|656f1a2b3c4d5e6f7a8b9c0d",
      },
      {
        role: "service",
        claims: {
          sub: "QmFzZTY0Q2xpZW50SWQ@clients",
          aud: "https://api.shop.example",
          gty: "client-credentials",
          "https://shop.example/roles": ["coupon-service"],
        },
        subject: "QmFzZTY0Q2xpZW50SWQ@clients",
      },
    ],
  },
  {
    name: "Keycloak",
    alg: "RS256",
    pair: rsa(),
    jwk: { use: "sig", alg: "RS256" },
    user: {
      jti: "onrtac:0f1d2c3b-4a59-4687-9f0e-1d2c3b4a5968",
      iss: "https://id.shop.example/realms/shop",
      aud: ["coupons", "account"],
      sub: "f81d4fae-7dec-41d0-a765-00a0c91e6bf6",
      typ: "Bearer",
      azp: "web",
      sid: "2c3b4a59-6877-4869-8f0e-1d2c3b4a5968",
      acr: "1",
      realm_access: { roles: ["default-roles-shop", "offline_access", "uma_authorization"] },
      resource_access: { account: { roles: ["manage-account", "view-profile"] } },
      scope: "openid email profile",
      email_verified: true,
      preferred_username: "ann",
      user_id: "42",
    },
    others: [
      {
        role: "admin",
        claims: { realm_access: { roles: ["offline_access", "coupon-service", "coupon-admin"] } },
        subject: "f81d4fae-7dec-41d0-a765-00a0c91e6bf6",
      },
      {
        role: "service",
        claims: {
          sub: "0b0c7e1d-3c1b-4b7e-9a53-0f6f1f3c1d2e",
          client_id: "till-server",
          preferred_username: "service-account-till-server",
          realm_access: { roles: ["coupon-service"] },
        },
        subject: "0b0c7e1d-3c1b-4b7e-9a53-0f6f1f3c1d2e",
      },
    ],
  },
  {
    name: "Supabase",
    alg: "ES256",
    pair: ec(),
    jwk: { alg: "ES256", key_ops: ["verify"], use: "sig", ext: true },
    user: {
      iss: "https://abcdefghijkl.supabase.co/auth/v1",
      sub: "9d3f1f6e-5a2b-4c8d-8e7f-6a5b4c3d2e1f",
      aud: "authenticated",
      email: "ann@shop.example",
      phone: "",
      app_metadata: { provider: "email", providers: ["email"], user_id: 42 },
      user_metadata: { role: "coupon-admin", user_id: 1 },
      role: "authenticated",
      aal: "aal1",
      amr: [{ method: "password", timestamp: now }],
      session_id: "1f2e3d4c-5b6a-4f7e-8d8c-4c2b5a6e1f3d",
      is_anonymous: false,
    },
    others: [
      {
        role: "admin",
        claims: { app_metadata: { provider: "email", providers: ["email"], role: "coupon-admin" } },
        subject: "9d3f1f6e-5a2b-4c8d-8e7f-6a5b4c3d2e1f",
      },
    ],
  },
  {
    name: "Firebase",
    alg: "RS256",
    pair: rsa(),
    jwk: { use: "sig", alg: "RS256" },
    user: {
      iss: "https://securetoken.google.com/shop-12345",
      aud: "shop-12345",
      auth_time: now,
      user_id: "ZGlhbW9uZHMAAAABBBB1234567",
      sub: "ZGlhbW9uZHMAAAABBBB1234567",
      email: "ann@shop.example",
      email_verified: true,
      firebase: { identities: { email: ["ann@shop.example"] }, sign_in_provider: "password" },
      shop_user: 42,
    },
    others: [{ role: "admin", claims: { coupon_role: "admin" }, subject: "ZGlhbW9uZHMAAAABBBB1234567" }],
  },
  {
    name: "Cognito",
    alg: "RS256",
    pair: rsa(),
    jwk: { use: "sig", alg: "RS256" },
    user: {
      sub: "93a4b8f2-60d1-70b2-5c3e-1a2b3c4d5e6f",
      email_verified: true,
      iss: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab12Cd34E",
      "cognito:username": "ann",
      origin_jti: "5a6b7c8d-9e0f-4a1b-8c2d-3e4f5a6b7c8d",
      aud: "3n4b5urk1ft4fl3mg5e62d9ado",
      event_id: "64f513be-32db-42b0-b78e-b02127b4f463",
      token_use: "id",
      auth_time: now,
      email: "ann@shop.example",
      "custom:user_id": "42",
    },
    others: [
      {
        role: "admin",
        claims: { "cognito:groups": ["eu-central-1_Ab12Cd34E_Google", "coupon-admins"] },
        subject: "93a4b8f2-60d1-70b2-5c3e-1a2b3c4d5e6f",
      },
    ],
  },
  {
    name: "Entra ID",
    alg: "RS256",
    pair: rsa(),
    // Without alg.
    jwk: { use: "sig", x5t: "x", x5c: ["x"], cloud_instance_name: "microsoftonline.com" },
    user: {
      aud: "6e74172b-be56-4843-9ff4-e66a39bb12e3",
      iss: "https://login.microsoftonline.com/8c5d2f0e-3c1b-4b7e-9a53-0f6f1f3c1d2e/v2.0",
      nbf: now,
      aio: "AXQAi/8IAAAAtAaZLo3ChMif6KOnttRB7eBq4/DccQzjcJGxPYy",
      azp: "6e74172b-be56-4843-9ff4-e66a39bb12e3",
      azpacr: "0",
      name: "Ann",
      oid: "690222be-ff1a-4d56-abd1-7e4f7d38e474",
      preferred_username: "ann@shop.example",
      rh: "I",
      scp: "access_as_user",
      sub: "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
      tid: "8c5d2f0e-3c1b-4b7e-9a53-0f6f1f3c1d2e",
      uti: "fqiBqXLPj0eQa82S-IYFAA",
      ver: "2.0",
      user_id: "42",
    },
    others: [
      { role: "admin", claims: { roles: ["Coupon.Admin"] }, subject: "690222be-ff1a-4d56-abd1-7e4f7d38e474" },
      {
        role: "service",
        claims: { oid: "a0b1c2d3-0000-4d56-abd1-7e4f7d38e474", idtyp: "app", roles: ["Coupon.Service"] },
        subject: "a0b1c2d3-0000-4d56-abd1-7e4f7d38e474",
      },
    ],
  },
  {
    name: "Okta",
    alg: "RS256",
    pair: rsa(),
    jwk: { use: "sig", alg: "RS256" },
    user: {
      ver: 1,
      jti: "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
      iss: "https://shop.okta.com/oauth2/default",
      aud: "api://default",
      cid: "0oa1b2c3d4e5f6g7h8i9",
      uid: "00u1b2c3d4e5f6g7h8i9",
      scp: ["openid", "profile"],
      auth_time: now,
      sub: "ann@shop.example",
      groups: ["Everyone"],
      user_id: 42,
    },
    others: [
      { role: "admin", claims: { groups: ["Everyone", "coupon-admins"] }, subject: "ann@shop.example" },
    ],
  },
  {
    name: "Zitadel",
    alg: "RS256",
    pair: rsa(),
    jwk: { use: "sig", alg: "RS256" },
    user: {
      iss: "https://shop-ab12cd.us1.zitadel.cloud",
      sub: "77776025198584418",
      aud: ["69234237810729234", "69234237810729019"],
      client_id: "69234237810729234",
      jti: "V2_69234237813329048-at_69234237813394584",
      nbf: now,
      "urn:zitadel:iam:user:resourceowner:id": "69234237810663494",
      "urn:zitadel:iam:org:project:roles": { customer: { "69234237810663494": "shop.us1.zitadel.cloud" } },
      user_id: "42",
    },
    others: [
      {
        role: "admin",
        claims: {
          "urn:zitadel:iam:org:project:roles": {
            customer: { "69234237810663494": "shop.us1.zitadel.cloud" },
            "coupon-admin": { "69234237810663494": "shop.us1.zitadel.cloud" },
          },
        },
        subject: "77776025198584418",
      },
      {
        role: "service",
        claims: {
          sub: "77776025198584999",
          // As its manual writes it.
          "urn:zitadel:iam:org:project:roles": [
            { customer: { "69234237810663494": "shop.us1.zitadel.cloud" } },
            { "coupon-service": { "69234237810663494": "shop.us1.zitadel.cloud" } },
          ],
        },
        subject: "77776025198584999",
      },
    ],
  },
  {
    name: "Clerk",
    alg: "RS256",
    pair: rsa(),
    audience: "azp",
    jwk: { use: "sig", alg: "RS256" },
    user: {
      azp: "https://shop.example",
      fva: [7, -1],
      iss: "https://clerk.shop.example",
      // public_metadata, which the session's token is set to have.
      metadata: { user_id: 42 },
      nbf: now - 10,
      sid: "sess_2f3a4b5c6d7e8f9a0b1c2d3e4f5",
      sts: "active",
      sub: "user_2f3a4b5c6d7e8f9a0b1c2d3e4f5",
      v: 2,
    },
    others: [
      {
        role: "admin",
        claims: { metadata: { role: "coupon-admin" } },
        subject: "user_2f3a4b5c6d7e8f9a0b1c2d3e4f5",
      },
    ],
  },
];

/** Tokens of machines (client credentials) that have scopes and no groups: all of their claims. Cognito's has no aud. */
const machines: { of: string; claims: JWTPayload; scopes: ("issue" | "read")[]; others: JWTPayload[] }[] = [
  {
    of: "Cognito",
    claims: {
      sub: "1h57kf5cpq17m0eml12EXAMPLE",
      token_use: "access",
      scope: "coupons/issue coupons/read",
      auth_time: now,
      iss: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab12Cd34E",
      version: 2,
      jti: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
      client_id: "1h57kf5cpq17m0eml12EXAMPLE",
    },
    scopes: ["issue", "read"],
    others: [{ client_id: "another" }, { client_id: undefined }],
  },
  {
    of: "Okta",
    claims: {
      ver: 1,
      jti: "AT.6ZlHAVjvz4pO1YLuMVG3TP5PSJjKgBpZWqzlXHVrQqI",
      iss: "https://shop.okta.com/oauth2/default",
      aud: "api://default",
      cid: "0oa9i8h7g6f5e4d3c2b1",
      scp: ["coupons.issue"],
      sub: "0oa9i8h7g6f5e4d3c2b1",
    },
    scopes: ["issue"],
    others: [{ aud: "another" }, { aud: [] }],
  },
];

const manual = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const linesOf = (name: RegExp) =>
  new Map(
    [...manual.matchAll(new RegExp(`^\\| ${name.source} \\| \`(\\{"issuer": .*\\})\` \\|$`, "gm"))].map(
      ([, of = "", line = ""]) => [of, line],
    ),
  );
const lines = linesOf(/([\w ]+)/);
const machineLines = linesOf(/([\w ]+), machines/);

const signed = (claims: JWTPayload, { alg, pair }: (typeof providers)[number], kid = "key-1") =>
  new SignJWT({ ...times, ...claims }).setProtectedHeader({ alg, typ: "JWT", kid }).sign(pair.privateKey);

/** All providers at once, as the manual sets them, with what each publishes. All call their key the same. */
async function everybody(t: TestContext, by = lines) {
  const published = new Map<string, object>();
  for (const { pair, jwk, user } of providers) {
    const issuer = String(user.iss);
    const at = issuer.replace(/\/$/, "");
    const keys = [
      { kty: "oct", kid: "key-1", k: "c2VjcmV0" },
      { ...(await exportJWK(pair.publicKey)), ...jwk, kid: "key-1" },
    ];
    published.set(`${at}/.well-known/openid-configuration`, {
      issuer,
      jwks_uri: `${at}/.well-known/jwks.json`,
    });
    published.set(`${at}/.well-known/jwks.json`, { keys });
  }
  const asked: string[] = [];
  t.mock.method(globalThis, "fetch", async (url: string) => {
    asked.push(url);
    const document = published.get(url);
    return document ? Response.json(document) : new Response(null, { status: 404 });
  });
  const authenticate = await createAuthenticate(readEnv({ JWT_ISSUERS: `[${[...by.values()].join(", ")}]` }));
  return { authenticate, asked };
}

test("the manual has a line for each", () => {
  assert.deepEqual(
    [...lines.keys()],
    providers.map(({ name }) => name),
  );
  assert.deepEqual(
    [...machineLines.keys()],
    machines.map(({ of }) => of),
  );
});

for (const provider of providers)
  test(`${provider.name}: by the manual's line a user, and who has a role of ours`, async (t) => {
    const { authenticate, asked } = await everybody(t);
    const ofUser: Caller = { role: "user", user_id: 42, subject: "42" };
    const token = await signed(provider.user, provider);
    // The second time it is known.
    for (let i = 0; i < 2; i++) assert.deepEqual(await authenticate(token), ofUser);
    for (const { role, claims, subject } of provider.others)
      assert.deepEqual(await authenticate(await signed({ ...provider.user, ...claims }, provider)), {
        role,
        subject: `${subject} of ${provider.user.iss}`,
        ...(provider.user.jti === undefined
          ? {}
          : { key_id: `${provider.user.jti} of ${provider.user.iss}` }),
      });
    const audience = provider.audience ?? "aud";
    for (const claims of [
      { [audience]: "another" },
      { [audience]: [] },
      { [audience]: undefined },
      { iss: `${provider.user.iss}/` },
      { exp: now - 1 },
      { sub: undefined, oid: undefined },
    ] as JWTPayload[])
      assert.equal(
        await authenticate(await signed({ ...provider.user, ...claims }, provider)),
        null,
        JSON.stringify(claims),
      );
    assert.ok(
      asked.every((url) => url.startsWith(String(provider.user.iss).replace(/\/$/, ""))),
      `${asked}`,
    );
  });

for (const { of, claims, scopes, others } of machines)
  test(`${of}: by the manual's line for machines what their scopes say, and nobody else`, async (t) => {
    const { authenticate } = await everybody(t, machineLines);
    const provider = providers.find(({ name }) => name === of) as (typeof providers)[number];
    const callerOf = async (given: JWTPayload) => authenticate(await signed(given, provider));
    const caller: Caller = {
      role: "service",
      scopes,
      subject: `${claims.sub} of ${claims.iss}`,
      key_id: `${claims.jti} of ${claims.iss}`,
    };
    assert.deepEqual(await callerOf(claims), caller);
    for (const other of [
      ...others,
      { scope: undefined, scp: undefined },
      { scope: "openid", scp: ["openid"] },
    ])
      assert.equal(await callerOf({ ...claims, ...other }), null, JSON.stringify(other));
    assert.equal(await callerOf(provider.user), null);
  });

for (const [alg, key] of [
  ["HS256", Buffer.from("the secret that a project shares with its services")],
  ["RS384", undefined],
  ["RS512", undefined],
  ["ES384", generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey],
] as const)
  test(`${alg}: no algorithm of a provider's tokens, though it is set to it`, async (t) => {
    const { authenticate } = await everybody(t);
    for (const { user, pair } of providers.filter((one) => key || one.alg === "RS256")) {
      const token = new SignJWT({ ...times, ...user }).setProtectedHeader({ alg, kid: "key-1" });
      const signed = await token.sign(key ?? pair.privateKey);
      const why: string[] = [];
      assert.equal(await authenticate(signed, (one) => why.push(one)), null, user.iss);
      assert.deepEqual(why, ["algorithm"], user.iss);
    }
  });

test("no key of one provider verifies a token of another, though all are called the same", async (t) => {
  const { authenticate } = await everybody(t);
  for (const { user } of providers)
    for (const signer of providers) {
      const caller = await authenticate(await signed(user, signer));
      assert.equal(caller?.subject, signer.user === user ? "42" : undefined, `${user.iss} by ${signer.name}`);
    }
});

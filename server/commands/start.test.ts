import assert from "node:assert/strict";
import { test } from "node:test";
import { localUrl } from "../address.ts";
import { secretOfThisMachine } from "../auth/secret.ts";
import { readEnv } from "../env.ts";
import { demoKeyOf } from "./start.ts";

const given = "k".repeat(32);

test("the demo's own database: a new key at each start, of 256 bits", () => {
  const [one, two] = [demoKeyOf(readEnv({}, ""), true), demoKeyOf(readEnv({}, ""), true)];
  for (const key of [one, two]) assert.match(key ?? "", /^[\w-]{43}$/);
  assert.notEqual(one, two);
});

test("any other database: none", () => assert.equal(demoKeyOf(readEnv({}, ""), false), undefined));

for (const [what, variables] of [
  ["a token secret of its own", { JWT_SECRET: "s".repeat(32) }],
  ["a public key", { JWT_PUBLIC_KEY: "-----BEGIN PUBLIC KEY-----\n" }],
  ["published keys", { JWT_JWKS_URL: "https://id.example/keys" }],
  ["an identity provider", { JWT_ISSUERS: '[{"issuer": "https://id.example", "audience": "shop"}]' }],
  ["DEMO=on, which needs no key", { DEMO: "on" }],
  ["DEMO=off", { DEMO: "off" }],
] as const)
  test(`the demo's own database with ${what}: none`, () =>
    assert.equal(demoKeyOf(readEnv(variables, ""), true), undefined));

test("DEMO_KEY, where it is asked for by name", () => {
  for (const isDemo of [true, false])
    assert.equal(demoKeyOf(readEnv({ DEMO_KEY: given }, ""), isDemo), given);
});

test("a secret that was generated is told of where the database may have other servers", () => {
  const database = { DATABASE_URL: "postgres://shop@db.example/coupons", DATA_DIR: "/var/lib/coupons" };
  const told = (variables: Record<string, string>) => secretOfThisMachine(readEnv(variables, ""));
  const sentence =
    "tokens are signed with /var/lib/coupons/token.secret: other servers of this database need it as JWT_SECRET";
  assert.equal(told(database), sentence);
  assert.equal(
    told({ API_DATABASE_URL: "postgres://coupon_api@db.example/coupons", DATA_DIR: "/var/lib/coupons" }),
    sentence,
  );
  assert.equal(told({}), undefined);
  assert.equal(told({ ...database, JWT_SECRET: "s".repeat(32) }), undefined);
  assert.equal(told({ ...database, JWT_JWKS_URL: "https://id.example/keys" }), undefined);
});

test("links lead to where the server listens", () => {
  const url = (HOST?: string) => localUrl(readEnv({ PORT: "4000", ...(HOST ? { HOST } : {}) }, ""));
  assert.deepEqual([undefined, "::", "127.0.0.1", "127.0.0.2", "::1", "shop.example"].map(url), [
    ...Array<string>(3).fill("http://localhost:4000"),
    "http://127.0.0.2:4000",
    "http://[::1]:4000",
    "http://shop.example:4000",
  ]);
});

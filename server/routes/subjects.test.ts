/** Users of an identity provider who are known by their subjects, from the token to the rows. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { SignJWT } from "jose";
import {
  adminToken,
  assertProblem,
  openApp,
  openWorld,
  userToken,
  type World,
} from "../../bench/harness/app.ts";
import { INSTANT, invalid } from "../../bench/harness/routes.ts";
import { DatabaseError } from "../database/errors.ts";
import { Incoming } from "../http/incoming.ts";

const [A, KNOWN] = ["https://a.example/", "https://known.example/"];
const FIRST = 2 ** 52;
const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
const public_key = pair.publicKey.export({ type: "spki", format: "pem" }).toString();
const env = {
  JWT_ISSUERS: JSON.stringify([
    { issuer: A, audience: "shop", public_key, users: "create" },
    { issuer: KNOWN, audience: "shop", public_key, users: "known" },
  ]),
};
const tokenOf = (sub: string, claims: object = {}) =>
  new SignJWT({ iss: A, aud: "shop", sub, ...claims })
    .setProtectedHeader({ alg: "ES256" })
    .setExpirationTime("1h")
    .sign(pair.privateKey);

let world: World;
before(async () => {
  world = await openWorld({ env });
});
after(async () => {
  await world.close();
  assert.deepEqual(world.failures(), []);
});

const find = async (query: string) =>
  (await world.call(`GET /subjects?${query}`, { token: adminToken })).body;
const usersOf = async (name: string) =>
  (await world.scratch.owner`select id::float8 from coupon.users where display_name = ${name}`).map(
    ({ id }) => id,
  );

test("at first sight a subject becomes a user, who gets a coupon; an operator finds who it is", async () => {
  const coupon_id = await world.newCoupon();
  const token = await tokenOf("auth0|ann", { name: "Ann of A" });
  const { status, body } = await world.call(`POST /coupons/${coupon_id}/issue`, { token });
  assert.deepEqual([status, body.outcome], [201, "issued"]);
  const ann: number = body.user_id;
  assert.ok(Number.isSafeInteger(ann) && ann >= FIRST);
  const again = await world.call(`POST /coupons/${coupon_id}/issue`, { token: await tokenOf("auth0|ann") });
  assert.deepEqual([again.body.outcome, again.body.user_id], ["already_issued", ann]);
  assert.deepEqual(await usersOf("Ann of A"), [ann]);
  const { subjects } = await find("subject=auth0%7Cann");
  const [{ first_seen_at, ...found }] = subjects;
  assert.match(first_seen_at, INSTANT);
  assert.deepEqual(found, { subject: "auth0|ann", issuer: A, user_id: ann });
  assert.deepEqual(await find(`user_id=${ann}&issuer=${encodeURIComponent(A)}`), { subjects });
  assert.deepEqual(await find(`user_id=${ann}&issuer=${encodeURIComponent(KNOWN)}`), { subjects: [] });
  assert.deepEqual((await world.call("GET /me", { token })).body, { role: "user", user_id: ann });
  const { body: wallet } = await world.call(`GET /users/${ann}/coupons`, { token });
  assert.equal(wallet.coupons[0].coupon_id, coupon_id);
});

test("two servers see the same 50 subjects at the same moment, over the short way: 50 users", async (t) => {
  const other = await openApp(world.scratch.apiUrl, { env });
  t.after(() => other.close());
  const coupon_id = await world.newCoupon({ count: 60 });
  const servers = [createServer(world.listener), createServer(other.listener)];
  const tokens = await Promise.all(
    Array.from({ length: 50 }, (_, i) => tokenOf(`both-${i}`, { name: "Both" })),
  );
  const urls: string[] = [];
  for (const server of servers) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => server.closeAllConnections());
    t.after(() => server.close());
    urls.push(`http://127.0.0.1:${(server.address() as AddressInfo).port}/coupons/${coupon_id}/issue`);
  }
  const ask = async (url: string, token: string) => {
    const response = await fetch(url, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: "{}",
    });
    return (await response.json()) as { outcome: string; user_id: number };
  };
  const answers = await Promise.all(tokens.flatMap((token) => urls.map((url) => ask(url, token))));
  assert.deepEqual(answers.map(({ outcome }) => outcome).sort(), [
    ...Array(50).fill("already_issued"),
    ...Array(50).fill("issued"),
  ]);
  assert.equal(new Set(answers.map(({ user_id }) => user_id)).size, 50);
  assert.equal((await usersOf("Both")).length, 50);
});

test("403: a subject that nobody knows, where none is created; and 200 once it is known", async () => {
  const token = await tokenOf("ben", { iss: KNOWN });
  assertProblem(await world.call("GET /users/7/coupons", { token }), 403, {
    outcome: "forbidden",
    detail: "The subject of this token is no user.",
  });
  const ben = await world.newUser();
  await world.scratch
    .owner`insert into coupon.subjects (subject, issuer, user_id) values ('ben', ${KNOWN}, ${ben})`;
  assert.equal((await world.call(`GET /users/${ben}/coupons`, { token })).status, 200);
});

test("503, and not 401, while the database cannot say who it is; nothing of that is remembered", async () => {
  let error: DatabaseError | undefined;
  const broken = await openApp(world.scratch.apiUrl, {
    env,
    db: {
      ...world.db,
      resolveSubjects: async (...question) => {
        if (error) throw error;
        return world.db.resolveSubjects(...question);
      },
    },
  });
  const coupon_id = await world.newCoupon();
  const token = await tokenOf("cid");
  const ask = () => broken.call(`POST /coupons/${coupon_id}/issue`, { token });
  for (const [kind, outcome] of [
    ["unavailable", "database_unavailable"],
    ["unknown", "database_unavailable"],
    ["busy", "overloaded"],
    ["stalled", "writes_stalled"],
  ] as const) {
    error = new DatabaseError(kind, "", "a test");
    const { status, body, headers } = await ask();
    assert.deepEqual([status, body.outcome], [503, outcome]);
    assert.match(headers.get("retry-after") ?? "", /^[1-3]$/);
  }
  error = undefined;
  assert.equal((await ask()).status, 201);
});

test("who is forgotten keeps the number for its token and for others of that day, and gets nothing more", async () => {
  const [lunch, dinner] = [await world.newCoupon(), await world.newCoupon()];
  const ask = async (coupon_id: number, jti: string) =>
    (await world.call(`POST /coupons/${coupon_id}/issue`, { token: await tokenOf("dan", { jti }) })).body;
  const { user_id } = await ask(lunch, "1");
  await world.call(`POST /users/${user_id}/forget`, { token: adminToken, body: {} });
  assert.deepEqual(await find("subject=dan"), { subjects: [] });
  for (const jti of ["1", "2"]) {
    assert.equal((await ask(lunch, jti)).outcome, "already_issued");
    const refused = await ask(dinner, jti);
    assert.deepEqual([refused.outcome, refused.user_id], ["user_not_found", user_id]);
  }
});

for (const [way, body] of [
  ["the short way", "{}"],
  ["the routes", "{ }"],
] as const)
  test(`${way}: whom the database has lost is told so once, and is a new user the next time`, async (t) => {
    const server = createServer({ IncomingMessage: Incoming }, world.listener).listen(0, "127.0.0.1");
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    await once(server, "listening");
    const coupon_id = await world.newCoupon();
    const token = await tokenOf(`lost by ${way}`);
    const lost: number = (await world.call("GET /me", { token })).body.user_id;
    // As a restore to the moment before it came.
    await world.scratch.owner.begin(async (sql) => {
      await sql`alter table coupon.users disable trigger users_are_permanent`;
      await sql`delete from coupon.subjects where user_id = ${lost}`;
      await sql`delete from coupon.users where id = ${lost}`;
      await sql`alter table coupon.users enable trigger users_are_permanent`;
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/coupons/${coupon_id}/issue`;
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const answers: { outcome: string; user_id: number }[] = [];
    for (let i = 0; i < 3; i++)
      answers.push(
        (await (await fetch(url, { method: "POST", headers, body })).json()) as (typeof answers)[0],
      );
    const found = answers[1]?.user_id as number;
    assert.ok(found >= FIRST && found !== lost);
    assert.deepEqual(
      answers.map(({ outcome, user_id }) => [outcome, user_id]),
      [
        ["user_not_found", lost],
        ["issued", found],
        ["already_issued", found],
      ],
    );
  });

test("a user of our own tokens and a subject of the same digits are two", async () => {
  const coupon_id = await world.newCoupon();
  const [user] = (await world.newUsers(1)) as [number];
  assert.equal(
    (await world.call(`POST /coupons/${coupon_id}/issue`, { token: userToken(user) })).body.user_id,
    user,
  );
  const { body } = await world.call(`POST /coupons/${coupon_id}/issue`, { token: await tokenOf(`${user}`) });
  assert.deepEqual([body.outcome, body.user_id > FIRST], ["issued", true]);
});

test("400: neither a subject nor a user", async () => {
  for (const query of ["", `?issuer=${encodeURIComponent(A)}`])
    assertProblem(
      await world.call(`GET /subjects${query}`, { token: adminToken }),
      400,
      invalid(["subject", "must be given, or user_id"]),
    );
});

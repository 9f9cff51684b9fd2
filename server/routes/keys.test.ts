/** Keys: what each scope may call, on every route, and how one ends. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import {
  adminToken,
  assertProblem,
  env,
  openApp,
  openWorld,
  userToken,
  type World,
} from "../../bench/harness/app.ts";
import { createClock, type MovedClock } from "../../bench/harness/clock.ts";
import { INSTANT, invalid } from "../../bench/harness/routes.ts";
import { until } from "../../bench/harness/waiting.ts";
import { contract, type Operation } from "../api/contract.ts";
import { signToken } from "../auth/auth.ts";
import { DatabaseError } from "../database/errors.ts";

let world: World;
let clock: MovedClock;
before(async () => {
  clock = createClock(Date.now());
  world = await openWorld({ clock });
  await world.newCoupon();
});
after(async () => {
  await world.close();
  assert.deepEqual(world.failures(), []);
});

const secret = env.JWT_SECRET as string;
const keyOf = (key_id: string, scope?: string) =>
  signToken(secret, env, {
    role: "service",
    subject: "POS north",
    key_id,
    ...(scope === undefined ? {} : { scope }),
  });

/** The routes that each scope may call; any other route of the contract it may not. */
const MAY: Record<string, string[]> = {
  issue: ["GET /me", "POST /coupons/{coupon_id}/issue"],
  read: [
    "GET /me",
    "GET /coupons",
    "GET /coupons/live",
    "GET /coupons/upcoming",
    "GET /coupons/events",
    "GET /coupons/{coupon_id}",
    "GET /users/{user_id}/coupons",
    "GET /events",
    "GET /events/stream",
  ],
  use: ["GET /me", "POST /claims/use", "POST /claims/undo-use"],
};
MAY["issue read"] = [...(MAY["issue"] as string[]), ...(MAY["read"] as string[])];
MAY["use issue"] = [...(MAY["use"] as string[]), ...(MAY["issue"] as string[])];

for (const [scope, routes] of Object.entries(MAY))
  for (const { route, roles } of Object.values(contract) as Operation[]) {
    if (roles === null) continue;
    const may = routes.includes(route);
    test(`scope ${scope}: ${may ? "may" : "may not"} ${route}`, async () => {
      const target = route
        .replace("{coupon_id}", "999999")
        .replace("{user_id}", "7")
        .replace("{group_name}", "vip")
        .replace("{webhook_name}", "shop");
      const { status, body } = await world.call(target, {
        token: signToken(secret, env, { role: "service", subject: "narrow", scope }),
        ...(route.startsWith("POST") ? { body: {} } : {}),
      });
      if (may) assert.ok(![401, 403, 500, 503].includes(status), `${status}`);
      else assert.deepEqual([status, body.outcome], [403, "forbidden"]);
    });
  }

test("a scope limits an admin too; words of others limit nobody", async () => {
  const ask = async (role: "admin" | "service", scope: string, target: string) =>
    (await world.call(target, { token: signToken(secret, env, { role, subject: "x", scope }) })).status;
  assert.equal(await ask("admin", "read", "GET /users"), 403);
  assert.equal(await ask("admin", "openid profile", "GET /users"), 200);
  assert.equal(await ask("service", "issuer reads", "GET /coupons/live"), 200);
});

const live = (token: string, on: Pick<World, "call"> = world) =>
  on.call("GET /events?page_size=1", { token });
const revoke = (key_id: string) =>
  world.call("POST /keys/revoke", { token: adminToken, body: { key_id, reason: "stolen" } });

test("revoked on one server: within a minute another one takes it no more, though it knew the token", async (t) => {
  const othersClock = createClock(Date.now());
  const other = await openApp(world.scratch.apiUrl, { clock: othersClock });
  t.after(() => other.close());
  const [token, stays] = [keyOf("key-1"), keyOf("key-2")];
  assert.equal((await live(token, other)).status, 200);
  const revoked = await revoke("key-1");
  assert.deepEqual(
    [revoked.status, revoked.body],
    [200, { outcome: "revoked", key_id: "key-1", name: null }],
  );
  await othersClock.pass(14_000);
  assert.equal((await live(token, other)).status, 200, "not yet");
  await othersClock.pass(32_000);
  assertProblem(await live(token, other), 401, {
    outcome: "unauthenticated",
    detail: "The bearer token is not valid.",
  });
  assert.equal((await live(stays, other)).status, 200);
  assert.equal((await live(adminToken, other)).status, 200, "one without an id");
  assert.equal((await revoke("key-1")).body.outcome, "already_revoked");
});

/** Lines of users, of which the first thousand are imported while the last one is waited for. */
const usersFrom = (first: number) =>
  Array.from({ length: 1_001 }, (_, i) => `{"user_id": ${first + i}, "display_name": "n"}\n`).join("");

test("revoked while its stream, list or upload is under way: each is broken off within a minute, and no other one", async (t) => {
  const othersClock = createClock(Date.now());
  const other = await openApp(world.scratch.apiUrl, { clock: othersClock });
  // A list whose second page takes its time.
  Object.assign(other.db, {
    listUsers: async (after: number) =>
      after === 0 ? [{ user_id: 1, display_name: "n" }] : new Promise(() => {}),
  });
  other.server.timeout = 0; // silence would end them too
  other.server.listen(0, "127.0.0.1");
  await once(other.server, "listening");
  t.after(async () => {
    other.server.closeAllConnections();
    other.server.close();
    await other.close();
  });
  const { port } = other.server.address() as AddressInfo;
  const begin = async (route: string, authorization: string, lines?: string) => {
    const [method, path] = route.split(" ");
    const headers = { authorization, ...(lines && { "content-type": "application/x-ndjson" }) };
    const sent = request({ host: "127.0.0.1", port, method, path, headers, agent: false });
    const broken = () => {};
    sent.on("error", broken);
    if (lines === undefined) sent.end();
    else sent.write(lines);
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    assert.equal(answer.statusCode, 200, route);
    const state = { route, text: "", isOver: false };
    const over = () => {
      state.isOver = true;
    };
    const add = (part: string) => {
      state.text += part;
    };
    answer.setEncoding("utf8").on("data", add).on("error", broken).on("close", over);
    return state;
  };
  const admin = (key_id: string) => signToken(secret, env, { role: "admin", subject: "root", key_id });
  const all = (token: string, first: number) =>
    Promise.all([
      begin("GET /events/stream", `Bearer ${token}`),
      begin("GET /users", `Bearer ${token}`),
      begin("POST /users/import", `Bearer ${token}`, usersFrom(first)),
    ]);
  const [revoked, stay] = [await all(admin("key-5"), 910_001), await all(admin("key-6"), 920_001)];
  for (const [, ...lists] of [revoked, stay])
    for (const state of lists) await until(async () => state.text !== "", `${state.route} answers`);
  assert.equal((await revoke("key-5")).body.outcome, "revoked");
  await othersClock.pass(15_000); // the ids are read anew, by the database's time
  await until(
    async () => (await live(admin("key-5"), other)).status === 401,
    "the key is known to be revoked",
  );
  await othersClock.pass(15_000);
  await until(
    async () => revoked.every(({ isOver }) => isOver),
    () => `all are broken off: ${revoked.filter(({ isOver }) => !isOver).map(({ route }) => route)}`,
  );
  assert.deepEqual(
    stay.map(({ isOver }) => isOver),
    [false, false, false],
  );
  for (const { text, route } of revoked) assert.doesNotMatch(text, /"outcome":"done"/, route);
  // What was imported by then stays.
  const [imported] = await world.scratch.owner`
    select count(*)::integer from coupon.users where id between 910001 and 911001`;
  assert.equal(imported?.["count"], 1_000);
});

test("where nobody can tell whether it is revoked: 503 for what has an id, and for nothing else", async () => {
  const broken = await openApp(world.scratch.apiUrl, {
    clock: createClock(Date.now()),
    db: {
      ...world.db,
      revokedKeys: async () => {
        throw new DatabaseError("unavailable", "", "a test");
      },
    },
  });
  const { status, body, headers } = await live(keyOf("key-3"), broken);
  assert.deepEqual([status, body.outcome], [503, "database_unavailable"]);
  assert.ok(headers.get("retry-after"));
  assert.equal((await live(adminToken, broken)).status, 200);
  const user = await world.newUser();
  assert.equal((await broken.call(`GET /users/${user}/coupons`, { token: userToken(user) })).status, 200);
});

test("the list: what was recorded and what was revoked, and no token", async () => {
  await world.scratch.admin`select from record_key('key-4', 'POS north', 'use', '2059-01-01Z')`;
  await revoke("jti-9 of https://id.example/");
  const { body } = await world.call("GET /keys", { token: adminToken });
  const told = body.keys.slice(0, 2).map(({ created_at, revoked_at, ...key }: Record<string, string>) => {
    assert.match(created_at as string, INSTANT);
    return { ...key, isRevoked: revoked_at !== null };
  });
  assert.deepEqual(told, [
    { key_id: "jti-9 of https://id.example/", name: null, scope: null, expires_at: null, isRevoked: true },
    {
      key_id: "key-4",
      name: "POS north",
      scope: "use",
      expires_at: "2059-01-01T00:00:00.000000Z",
      isRevoked: false,
    },
  ]);
  const [row] = await world.scratch.admin<{ actor: string; reason: string }[]>`
    select actor, reason from audit_trail() where command = 'revoke_key' order by id desc limit 1`;
  assert.deepEqual([row?.actor, row?.reason], ["admin:root", "stolen"]);
});

test("400: no id", async () => {
  assertProblem(
    await world.call("POST /keys/revoke", { token: adminToken, body: { key_id: "" } }),
    400,
    invalid(["key_id", "must not be empty"]),
  );
});

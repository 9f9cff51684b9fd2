import assert from "node:assert/strict";
import crypto, { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, request } from "node:http";
import { syncBuiltinESMExports } from "node:module";
import { type AddressInfo, connect } from "node:net";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { getRequestListener } from "@hono/node-server";
import { SignJWT } from "jose";
import { env, openApp, openWorld, serviceToken, userToken, type World } from "../../bench/harness/app.ts";
import { createAuthenticate } from "../auth/auth.ts";
import { systemClock } from "../clock.ts";
import { DatabaseError } from "../database/errors.ts";
import { readEnv } from "../env.ts";
import { Incoming } from "../http/incoming.ts";
import { issueBefore } from "./fast.ts";

let world: World;
let port: number;
let live: number;
let soldOut: number;
let upcoming: number;
let holder: number;
let other: number;
/** It stands still, so that no lease ends while a test relies on it. */
let time = 0;
/** Requests that reached the routes. */
let routed = 0;

const server = createServer({ IncomingMessage: Incoming }, (incoming, outgoing) =>
  listener(incoming, outgoing),
);
let listener: ReturnType<typeof issueBefore>;

before(async () => {
  world = await openWorld({ clock: { ...systemClock, now: () => time } });
  const routes = getRequestListener(world.app.fetch);
  listener = issueBefore((incoming, outgoing) => {
    routed += 1;
    return routes(incoming, outgoing);
  }, world.dependencies);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
  live = await world.newCoupon({ count: 100 });
  soldOut = await world.newCoupon({ count: 1 });
  upcoming = await world.newCoupon({ from: "1 hour" });
  [holder, other] = [await world.newUser(), await world.newUser()];
  await world.issue(soldOut, holder);
});
after(async () => {
  server.closeAllConnections();
  server.close();
  await world.close();
});

interface Told {
  status: number | undefined;
  headers: IncomingHttpHeaders;
  body: Record<string, unknown>;
}

function ask(
  path: string,
  { token, body, headers = {} }: { token?: string; body?: string; headers?: Record<string, string> } = {},
): Promise<Told> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        port,
        path,
        method: "POST",
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined
            ? {}
            : { "content-type": "application/json", "content-length": body.length }),
          ...headers,
        },
      },
      async (response) => {
        const text = Buffer.concat(await response.toArray()).toString();
        resolve({ status: response.statusCode, headers: response.headers, body: JSON.parse(text) });
      },
    );
    sent.once("error", reject).end(body);
  });
}

/** Until there is a lease. If the database gave none at first, the next question is due half a second later. */
async function leased(coupon: number): Promise<void> {
  const { hits } = world.issuing.leases;
  const before = hits();
  for (let tries = 1; hits() === before; tries++) {
    if (tries % 100 === 0) time += 500;
    await world.issue(coupon, other);
    await sleep(5);
  }
}

/** Without what is another's each time. */
function constant({ status, headers, body }: Told) {
  const { date: _, "x-request-id": id, "retry-after": wait, ...rest } = headers;
  const { request_id, starts_in, ...members } = body;
  assert.match(String(id), /./);
  if (request_id !== undefined) assert.equal(request_id, id);
  return {
    status,
    headers: { ...rest, "content-length": 0 },
    members,
    counts: typeof starts_in,
    waits: typeof wait,
    order: Object.keys(body),
  };
}

/** The same request served before the routes, and by them because the body is spelled in another way. */
async function both(path: string, token: string, given: { body?: string } = {}) {
  const before = routed;
  const fast = await ask(path, { token, ...given });
  assert.equal(routed, before, "served before the routes");
  const byRoutes = await ask(path, { token, body: "{ }" });
  assert.equal(routed, before + 1);
  return [fast, byRoutes] as const;
}

for (const [outcome, status, coupon, user, given] of [
  ["sold_out", 409, () => soldOut, () => other, { body: "{}" }],
  ["not_started", 409, () => upcoming, () => other, {}],
  ["already_issued", 200, () => soldOut, () => holder, { body: "{}" }],
  ["coupon_not_found", 404, () => 999_999, () => other, {}],
] as const)
  for (const isLeased of status === 409 ? [false, true] : [false])
    test(`${outcome}${isLeased ? ", from a lease" : ""}: reads as from the routes`, async () => {
      if (isLeased) await leased(coupon());
      const [fast, byRoutes] = await both(`/coupons/${coupon()}/issue`, userToken(user()), given);
      assert.deepEqual([fast.status, fast.body["outcome"]], [status, outcome]);
      assert.deepEqual(constant(fast), constant(byRoutes));
    });

test("issued: reads as from the routes", async () => {
  const [one, two] = [await world.newUser(), await world.newUser()];
  const fast = await ask(`/coupons/${live}/issue`, { token: userToken(one), body: "{}" });
  const byRoutes = await ask(`/coupons/${live}/issue`, { token: userToken(two), body: "{ }" });
  const [row] = await world.scratch.owner`
    select position, issued_on::text from coupon.user_coupons where user_id = ${one}`;
  assert.deepEqual(
    [fast.status, fast.body["user_id"], fast.body["position"], fast.body["issued_on"]],
    [201, one, row?.["position"], row?.["issued_on"]],
  );
  const alike = (told: Told) => ({
    ...constant(told),
    members: { ...told.body, request_id: 0, user_id: 0, position: 0, issued_at: 0 },
  });
  assert.deepEqual(alike(fast), alike(byRoutes));
});

test("the log says what was acknowledged: grants and replays, and no refusal", async () => {
  const user = await world.newUser();
  const logged = world.logged.length;
  const [first] = await both(`/coupons/${live}/issue`, userToken(user), { body: "{}" });
  await both(`/coupons/${soldOut}/issue`, userToken(user), { body: "{}" });
  const { outcome, issued_on: _, ...grant } = first.body;
  assert.equal(outcome, "issued");
  const lines = world.logged.slice(logged).map(({ status, coupon_id, user_id, position, issued_at }) => ({
    status,
    grant: { coupon_id, user_id, position, issued_at },
  }));
  const none = { coupon_id: undefined, user_id: undefined, position: undefined, issued_at: undefined };
  assert.deepEqual(lines, [
    { status: 201, grant },
    { status: 200, grant },
    { status: 409, grant: none },
    { status: 409, grant: none },
  ]);
});

test("an error: reads as from the routes, and is logged as there", async () => {
  const { issuing } = world.dependencies;
  const { issue } = issuing;
  const logged = world.logged.length;
  issuing.issue = () => Promise.reject(new DatabaseError("unavailable", "57P03", "starting"));
  const [fast, byRoutes] = await both(`/coupons/${live}/issue`, userToken(other), { body: "{}" }).finally(
    () => Object.assign(issuing, { issue }),
  );
  assert.deepEqual([fast.status, fast.body["outcome"]], [503, "database_unavailable"]);
  assert.deepEqual(constant(fast), constant(byRoutes));
  assert.deepEqual(
    world.logged.slice(logged).map(({ level, message }) => `${level} ${message}`),
    ["error starting", "warn request", "error starting", "warn request"],
  );
});

test("the caller's id, its trace and its origin, while draining: all are answered as from the routes", async () => {
  await leased(soldOut);
  const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  const headers = {
    "X-Request-Id": "mine:1",
    traceparent: `00-${trace}-00f067aa0ba902b7-01`,
    origin: "https://shop.example",
  };
  world.state.draining = true;
  const logged = world.logged.length;
  const told: Told[] = [];
  for (const body of ["{}", "{ }"])
    told.push(await ask(`/coupons/${soldOut}/issue`, { token: userToken(other), body, headers }));
  world.state.draining = false;
  const [fast, byRoutes] = told.map(constant);
  assert.deepEqual(fast, byRoutes);
  assert.deepEqual(
    [told[0]?.headers["x-request-id"], fast?.headers.connection, fast?.headers.vary],
    ["mine:1", "close", "origin"],
  );
  const lines = world.logged.slice(logged).map(({ time: _, ms, ...line }) => {
    assert.equal(typeof ms, "number");
    return line;
  });
  const path = `/coupons/${soldOut}/issue`;
  const line = { level: "info", message: "request", method: "POST", path, status: 409 };
  assert.deepEqual(lines, Array(2).fill({ ...line, request_id: "mine:1", trace_id: trace }));
});

const odd: [
  what: string,
  given: () => Parameters<typeof ask>[1] & { query?: string },
  status: number,
  outcome: string,
][] = [
  ["no token", () => ({ body: "{}" }), 401, "unauthenticated"],
  ["a wrong token", () => ({ token: "a.b.c", body: "{}" }), 401, "unauthenticated"],
  ["a service that names nobody", () => ({ token: serviceToken, body: "{}" }), 400, "invalid_request"],
  ["two bytes that are no object", () => ({ token: userToken(other), body: "[]" }), 400, "invalid_request"],
  ["two bytes that are no JSON", () => ({ token: userToken(other), body: "{x" }), 400, "invalid_request"],
  [
    "somebody else's id",
    () => ({ token: userToken(other), body: `{"user_id":${holder}}` }),
    403,
    "forbidden",
  ],
  ["a member that isn't one", () => ({ token: userToken(other), body: '{"x":1}' }), 400, "invalid_request"],
  ["a query", () => ({ token: userToken(other), body: "{}", query: "?a=1" }), 400, "invalid_request"],
  [
    "another type",
    () => ({ token: userToken(other), body: "{}", headers: { "content-type": "text/plain" } }),
    415,
    "invalid_request",
  ],
  [
    "another charset",
    () => ({
      token: userToken(other),
      body: "{}",
      headers: { "content-type": "application/json; charset=utf-16" },
    }),
    415,
    "invalid_request",
  ],
  [
    "a compressed body",
    () => ({ token: userToken(other), body: "{}", headers: { "content-encoding": "gzip" } }),
    415,
    "invalid_request",
  ],
  [
    "a body without its length",
    () => ({ token: userToken(other), headers: { "transfer-encoding": "chunked" } }),
    409,
    "sold_out",
  ],
];
for (const [what, given, status, outcome] of odd)
  test(`goes to the routes: ${what}`, async () => {
    await leased(soldOut);
    const { query = "", ...call } = given();
    const before = routed;
    const told = await ask(`/coupons/${soldOut}/issue${query}`, call);
    assert.deepEqual([told.status, told.body["outcome"], routed], [status, outcome, before + 1]);
  });

test("a body in two packets, and two requests in one", async () => {
  await leased(soldOut);
  const head =
    `POST /coupons/${soldOut}/issue HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${userToken(other)}\r\n` +
    "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n";
  const before = world.issuing.leases.hits();
  const socket = connect(port, "127.0.0.1");
  let answers = "";
  socket.on("data", (part) => {
    answers += part;
  });
  const begun = once(server, "request");
  socket.write(`${head}{`);
  await begun;
  socket.write(`}${head}{}${head}{}`);
  while ((answers.match(/"outcome":"sold_out"/g) ?? []).length < 3) await sleep(5);
  socket.destroy();
  assert.equal(world.issuing.leases.hits(), before + 3);
});

test("by public key: before the routes, a token is verified once, a forged one once a request", async (t) => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  const { mock } = t.mock.method(crypto, "verify");
  syncBuiltinESMExports();
  const authenticate = await createAuthenticate(readEnv({ JWT_PUBLIC_KEY: pem }));
  const app = await openApp(world.scratch.apiUrl, { authenticate });
  const before = listener;
  t.after(() => {
    listener = before;
    mock.restore();
    syncBuiltinESMExports();
    return app.close();
  });
  listener = app.listener;
  const tokenOf = (user: number) =>
    new SignJWT({ role: "user", iss: env.JWT_ISSUER, aud: env.JWT_AUDIENCE })
      .setProtectedHeader({ alg: "EdDSA" })
      .setSubject(`${user}`)
      .setExpirationTime("1m")
      .sign(privateKey);
  const token = await tokenOf(holder);
  const [forged, another] = [`${token.slice(0, -5)}AAAAA`, `${token.slice(0, -5)}BBBBB`];
  for (const [given, status, verified] of [
    [token, 200, 1],
    [token, 200, 1],
    [forged, 401, 2],
    [another, 401, 3],
    [token, 200, 3],
    [await tokenOf(other), 409, 4],
  ] as const) {
    const told = await ask(`/coupons/${soldOut}/issue`, { token: given, body: "{}" });
    assert.deepEqual([told.status, mock.callCount()], [status, verified]);
  }
});

import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders, request } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { getRequestListener } from "@hono/node-server";
import { repeatBefore } from "./repeat.ts";
import { openWorld, serviceToken, userToken, type World } from "./testing.ts";

let world: World;
let port: number;
let soldOut: number;
let upcoming: number;
let holder: number;
let other: number;
/** Requests that reached the routes. */
let routed = 0;

const server = createServer((incoming, outgoing) => listener(incoming, outgoing));
let listener: ReturnType<typeof repeatBefore>;

before(async () => {
  world = await openWorld();
  const routes = getRequestListener(world.app.fetch);
  listener = repeatBefore((incoming, outgoing) => {
    routed += 1;
    return routes(incoming, outgoing);
  }, world.dependencies);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
  soldOut = await world.newCoupon({ count: 1 });
  upcoming = await world.newCoupon({ from: "5 minutes" });
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

/** Until there is a lease. */
async function leased(coupon: number): Promise<void> {
  while (!world.issuing.leases.holds(coupon)) {
    await world.issue(coupon, other);
    await sleep(5);
  }
}

/** Without what is another's each time. */
function constant({ status, headers, body }: Told) {
  const { date: _, "x-request-id": id, ...rest } = headers;
  const { request_id, starts_in, ...members } = body;
  assert.equal(request_id, id);
  return {
    status,
    headers: { ...rest, "content-length": 0 },
    members,
    counts: typeof starts_in,
    order: Object.keys(body),
  };
}

for (const [what, coupon] of [
  ["sold_out", () => soldOut],
  ["not_started", () => upcoming],
] as const)
  for (const body of [undefined, "{}"])
    test(`${what}, body ${body}: repeated before the routes, and reads as theirs does`, async () => {
      const path = `/coupons/${coupon()}/issue`;
      const plain = { token: userToken(other), ...(body === undefined ? {} : { body }) };
      await leased(coupon());
      const before = routed;
      const repeated = await ask(path, plain);
      assert.equal(routed, before);
      // Another spelling of the body, and the routes answer.
      const byRoutes = await ask(path, { ...plain, body: "{ }" });
      assert.equal(routed, before + 1);
      assert.equal(repeated.status, 409);
      assert.equal(repeated.body["outcome"], what);
      assert.deepEqual(constant(repeated), constant(byRoutes));
    });

test("repeats the caller's request id, and logs the request", async () => {
  await leased(soldOut);
  const { headers, body } = await ask(`/coupons/${soldOut}/issue`, {
    token: userToken(other),
    headers: { "X-Request-Id": "mine:1" },
  });
  assert.deepEqual([headers["x-request-id"], body["request_id"]], ["mine:1", "mine:1"]);
  const { time: _, ms, ...line } = world.logged.at(-1);
  assert.equal(typeof ms, "number");
  assert.deepEqual(line, {
    level: "info",
    message: "request",
    method: "POST",
    path: `/coupons/${soldOut}/issue`,
    status: 409,
    request_id: "mine:1",
  });
});

const odd: [
  what: string,
  given: () => Parameters<typeof ask>[1] & { query?: string },
  status: number,
  outcome: string,
][] = [
  ["a holder", () => ({ token: userToken(holder), body: "{}" }), 200, "already_issued"],
  ["a holder, without a body", () => ({ token: userToken(holder) }), 200, "already_issued"],
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
    "a body without its length",
    () => ({ token: userToken(other), headers: { "transfer-encoding": "chunked" } }),
    411,
    "invalid_request",
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
  socket.write(`${head}{`);
  await sleep(30);
  socket.write(`}${head}{}${head}{}`);
  while ((answers.match(/"outcome":"sold_out"/g) ?? []).length < 3) await sleep(5);
  socket.destroy();
  assert.equal(world.issuing.leases.hits(), before + 3);
});

test("while draining the routes answer, and close", async () => {
  await leased(soldOut);
  world.state.draining = true;
  const { headers } = await ask(`/coupons/${soldOut}/issue`, { token: userToken(other), body: "{}" });
  world.state.draining = false;
  assert.equal(headers.connection, "close");
});

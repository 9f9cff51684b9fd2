/** The client of server/public, against the real service over HTTP, with faults between them. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { adminToken, openWorld, serviceToken, userToken, type World } from "../../bench/harness/app.ts";
import { createClock } from "../../bench/harness/clock.ts";
import { Incoming } from "../http/incoming.ts";
import { type CouponClient, CouponError, couponClient } from "./client.js";

type Fault = (
  request: IncomingMessage,
  response: ServerResponse,
  serve: () => Promise<void>,
) => void | Promise<void>;

let world: World;
let baseUrl: string;
let close: () => Promise<unknown>;
/** What meets the next requests, one each; without any they are served. */
let faults: Fault[] = [];
/** Every request that came. */
let came: { route: string; at: number }[] = [];

before(async () => {
  world = await openWorld();
  const server = createServer({ IncomingMessage: Incoming }, (request, response) => {
    came.push({ route: `${request.method} ${request.url}`, at: performance.now() });
    const served = new Promise<void>((resolve) => response.once("close", resolve));
    const serve = () => {
      world.listener(request, response);
      return served;
    };
    void (faults.shift() ?? serve)(request, response, serve);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
});
after(async () => {
  await close();
  await world.close();
});
beforeEach(() => {
  faults = [];
  came = [];
});

/** A client that waits, or asks for ever, fails within a minute. */
const bounded = { timeout: 60_000 };

const clientOf = (token: string, options = {}) => couponClient({ baseUrl, token, ...options });

/** A user, its client and a coupon. */
async function buyer(given: Parameters<World["newCoupon"]>[0] = {}) {
  const [user_id, coupon_id] = [await world.newUser(), await world.newCoupon(given)];
  return { user_id, coupon_id, client: clientOf(userToken(user_id)) };
}

type Feed = ReturnType<CouponClient["watchCoupons"]>;

const hangUp: Fault = (request) => void request.socket.destroy();
const refuse =
  (status: number, headers: Record<string, string> = {}): Fault =>
  (_, response) =>
    void response
      .writeHead(status, { "content-type": "application/problem+json", ...headers })
      .end(JSON.stringify({ title: "t", status, outcome: "overloaded", detail: "d", request_id: "r" }));
/** The service does it, and nobody hears. */
const loseTheAnswer: Fault = async ({ socket }, _, serve) => {
  socket.write = () => {
    setImmediate(() => socket.destroy());
    return true;
  };
  await serve();
};

test("a drop from both ends: each call with its members, each outcome a result", async () => {
  const admin = clientOf(adminToken);
  const [ann, ben] = [await world.newUser(), await world.newUser()];
  const created = await admin.createCoupon({
    code: "CLIENT",
    message: "m",
    description: "",
    start_time: "2001-01-01T10:00:00Z",
    expiry: "2101-01-01T10:00:00Z",
    count: 1,
  });
  assert.equal(created.outcome, "created");
  const { coupon_id } = created as { coupon_id: number };

  const user = clientOf(userToken(ann));
  const issued = await user.issueCoupon({ coupon_id });
  assert.equal(issued.outcome, "issued");
  // The compiler knows that this outcome has a position.
  if (issued.outcome === "issued") assert.equal(issued.position, 1);
  assert.equal((await user.issueCoupon({ coupon_id })).outcome, "already_issued");
  const sold = await clientOf(serviceToken).issueCoupon({ coupon_id, user_id: ben });
  assert.equal(sold.outcome, "sold_out");
  if (sold.outcome === "sold_out")
    assert.equal(sold.detail, "All units of the coupon have been issued, in order of arrival.");
  assert.equal((await admin.setCouponCount({ coupon_id, count: 2, reason: "more" })).outcome, "changed");
  assert.equal((await clientOf(userToken(ben)).issueCoupon({ coupon_id })).outcome, "issued");
  assert.equal((await user.useCoupon({ coupon_id, reference: "o-1" })).outcome, "used");
  assert.equal((await user.useCoupon({ coupon_id, reference: "o-2" })).outcome, "already_used");
  assert.equal((await admin.undoUse({ coupon_id, user_id: ann, reason: "r" })).outcome, "restored");
  assert.equal((await admin.pauseCoupon({ coupon_id })).outcome, "paused");
  assert.equal((await admin.resumeCoupon({ coupon_id })).outcome, "resumed");
  assert.equal((await admin.findCouponByCode({ code: "client" })).coupon_id, coupon_id);
  assert.equal((await user.findCoupon({ coupon_id })).issued, 2);
  assert.equal((await admin.couponStats({ coupon_id })).remaining, 0);
  assert.deepEqual(await user.me(), { role: "user", user_id: ann });
  assert.deepEqual(await admin.me(), { role: "admin", user_id: null });
  assert.deepEqual(
    (await user.wallet({ user_id: ann, page_size: 1 })).coupons.map(({ code, state }) => [code, state]),
    [["CLIENT", "issued"]],
  );
  assert.deepEqual(await admin.importUsers({ users: [{ user_id: ann, display_name: "Ann" }] }), {
    users: [{ outcome: "updated", user_id: ann }],
  });
  assert.ok((await user.liveCoupons()).coupons.some((coupon) => coupon.coupon_id === coupon_id));
  assert.deepEqual((await user.upcomingCoupons()).coupons, []);
  assert.ok((await admin.couponStatus()).coupons.some((coupon) => coupon.code === "CLIENT"));
  assert.deepEqual(await clientOf("none").livez(), { status: "ok" });
});

test("a final refusal is a result, and asked once", async () => {
  const { client, coupon_id } = await buyer({ from: "1 hour", until: "2 hours" });
  const result = await client.issueCoupon({ coupon_id });
  assert.equal(result.outcome, "not_started", "although it comes with Retry-After");
  assert.equal(came.length, 1);
});

for (const [what, call, status, outcome] of [
  ["no token of ours", () => clientOf("x").liveCoupons(), 401, "unauthenticated"],
  ["not for users", () => clientOf(userToken(1)).couponStatus(), 403, "forbidden"],
  [
    "a wrong member",
    () => clientOf(adminToken).setCouponCount({ coupon_id: 1, count: 0 }),
    400,
    "invalid_request",
  ],
  [
    "no such coupon, read",
    () => clientOf(adminToken).findCoupon({ coupon_id: 999_999 }),
    404,
    "coupon_not_found",
  ],
] as const)
  test(`an error, and asked once: ${what}`, async () => {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof CouponError);
      assert.deepEqual([error.status, error.outcome], [status, outcome]);
      assert.ok(error.requestId);
      if (status === 400) assert.deepEqual(error.errors, [{ member: "count", detail: "must be at least 1" }]);
      return true;
    });
    assert.equal(came.length, 1);
  });

test("503: the same request again, after Retry-After", async () => {
  const { client, coupon_id, user_id } = await buyer();
  faults = [refuse(503, { "retry-after": "1" })];
  const result = await client.issueCoupon({ coupon_id, user_id });
  assert.equal(result.outcome, "issued");
  assert.deepEqual(
    came.map(({ route }) => route),
    Array(2).fill(`POST /coupons/${coupon_id}/issue`),
  );
  const waited = (came[1]?.at ?? 0) - (came[0]?.at ?? 0);
  assert.ok(waited >= 990, `${waited} ms`);
});

test("429 and a proxy's 502 without a problem: the same", async () => {
  const { client, coupon_id } = await buyer();
  faults = [refuse(429), (_, response) => void response.writeHead(502).end("<h1>Bad Gateway</h1>")];
  assert.equal((await client.issueCoupon({ coupon_id })).outcome, "issued");
  assert.equal(came.length, 3);
});

test("a connection lost before anything was done, and after: the coupon is there, once", async () => {
  const { client, coupon_id } = await buyer();
  faults = [hangUp, loseTheAnswer];
  const result = await client.issueCoupon({ coupon_id });
  assert.equal(result.outcome, "already_issued", "the answer that got lost was: issued");
  assert.equal(came.length, 3);
  assert.equal((await client.findCoupon({ coupon_id })).issued, 1);
});

test("no answer in time counts as lost", async (t) => {
  const { user_id, coupon_id } = await buyer();
  const attempts: AbortController[] = [];
  const { mock } = t.mock.method(AbortSignal, "timeout", () => {
    const attempt = new AbortController();
    attempts.push(attempt);
    return attempt.signal;
  });
  // The time of the first attempt runs out when its request has come.
  faults = [() => attempts[0]?.abort()];
  const result = await clientOf(userToken(user_id), { attemptMs: 100 }).issueCoupon({ coupon_id });
  assert.equal(result.outcome, "issued");
  assert.deepEqual(
    mock.calls.map((call) => call.arguments),
    [[100], [100]],
  );
});

test("in the end it says so: attempts, and a budget of retries for all calls together", async () => {
  const { client, coupon_id } = await buyer();
  faults = Array(100).fill(hangUp);
  const lost = { name: "CouponError", outcome: "connection_lost", status: 0 };
  await assert.rejects(() => client.issueCoupon({ coupon_id }), lost);
  assert.equal(came.length, 5);
  await Promise.all(
    Array.from({ length: 20 }, () => assert.rejects(() => client.issueCoupon({ coupon_id }), lost)),
  );
  assert.equal(came.length, 5 + 20 + 6, "four of ten retries were spent by the first, six were left");
});

test("a webhook's new secret is not made twice: it is sent again only where nothing was done", async (t) => {
  const { admin, owner } = world.scratch;
  await admin`select from set_webhook('crm', 'https://crm.example/')`;
  t.after(() => admin`select from remove_webhook('crm')`);
  const rotate = () => clientOf(adminToken).rotateWebhookSecret({ webhook_name: "crm" });
  const signing = async () =>
    Array.from(
      await owner`select number from coupon.webhook_secrets where webhook_name = 'crm' order by number`,
      ({ number }) => number,
    );
  const badGateway: Fault = (_, response) => void response.writeHead(502).end();
  for (const [lost, outcome] of [
    [loseTheAnswer, "connection_lost"],
    [badGateway, "unexpected_answer"],
  ] as const) {
    faults = [lost];
    await assert.rejects(rotate, { outcome });
    assert.deepEqual(await signing(), [1, 2], "the one that the receiver has still signs");
  }
  assert.equal(came.length, 2);
  faults = [refuse(503)];
  assert.equal((await rotate()).outcome, "rotated");
  assert.deepEqual([came.length, await signing()], [4, [2, 3]]);
});

test("an undo that does not say which use is sent again only where nothing was done", async () => {
  const { client, coupon_id, user_id } = await buyer();
  await client.issueCoupon({ coupon_id });
  const use = async () => {
    const used = await client.useCoupon({ coupon_id, reference: "r" });
    assert.equal(used.outcome, "used");
    came = [];
    return (used as { used_date: string }).used_date;
  };
  const admin = clientOf(adminToken);
  const undo = { coupon_id, user_id, reason: "r" };

  await use();
  faults = [loseTheAnswer];
  await assert.rejects(admin.undoUse(undo), { outcome: "connection_lost" });
  assert.equal(came.length, 1, "a later use would have been undone");

  await use();
  faults = [refuse(503)];
  assert.equal((await admin.undoUse(undo)).outcome, "restored");

  const used_date = await use();
  faults = [loseTheAnswer];
  assert.equal((await admin.undoUse({ ...undo, used_date })).outcome, "not_used");
  assert.equal(came.length, 2);
});

test("aborted: while it is sent, while it waits, before", async (t) => {
  const { client, coupon_id } = await buyer();
  const reason = new Error("closed the page");
  const sending = new AbortController();
  faults = [() => sending.abort(reason)];
  await assert.rejects(client.issueCoupon({ coupon_id }, { signal: sending.signal }), reason);

  const waiting = new AbortController();
  faults = [refuse(503, { "retry-after": "30" })];
  const { setTimeout: start } = globalThis;
  t.mock.method(globalThis, "setTimeout", (work: () => void, ms: number, ...more: []) => {
    if (ms >= 30_000) setImmediate(() => waiting.abort(reason));
    return start(work, ms, ...more);
  });
  await assert.rejects(client.issueCoupon({ coupon_id }, { signal: waiting.signal }), reason);

  await assert.rejects(client.issueCoupon({ coupon_id }, { signal: AbortSignal.abort(reason) }), reason);
  assert.equal(came.length, 2);
});

test(
  "aborted while the token is awaited, which never comes: nothing is sent, and nobody waits",
  bounded,
  async () => {
    const { coupon_id } = await buyer();
    const reason = new Error("closed the page");
    const client = couponClient({ baseUrl, token: () => new Promise<string>(() => {}) });
    const calls: ((signal: AbortSignal) => Promise<unknown>)[] = [
      (signal) => client.issueCoupon({ coupon_id }, { signal }),
      (signal) => client.listUsers({}, { signal }),
      (signal) => client.watchCoupons({ signal }).next(),
      (signal) => client.watchEvents({ after: "latest" }, { signal }).next(),
    ];
    for (const call of calls) {
      const leaving = new AbortController();
      const called = call(leaving.signal);
      setImmediate(() => leaving.abort(reason));
      await assert.rejects(called, reason);
      await assert.rejects(call(AbortSignal.abort(reason)), reason);
    }
    assert.equal(came.length, 0);
  },
);

test("the service is told of a command of a moment ago, also of one whose answer was lost", async () => {
  const { client, user_id, coupon_id } = await buyer();
  const told: (string | undefined)[] = [];
  const note: Fault = ({ headers }, _, serve) => {
    told.push(headers["x-changed-ms"] as string | undefined);
    return serve();
  };
  faults = [note, note, note, loseTheAnswer, note, note];
  await client.wallet({ user_id });
  await client.issueCoupon({ coupon_id });
  await client.wallet({ user_id });
  await client.useCoupon({ coupon_id, reference: "r" });
  await client.wallet({ user_id });
  assert.deepEqual(
    told.map((ms) => (ms === undefined ? ms : Number(ms) < 5_000)),
    [undefined, undefined, true, undefined, true],
  );
});

test("no cache of fetch() itself answers: a browser's, or that of Next.js; but some refuse to be told so", async (t) => {
  const said: unknown[] = [];
  const client = couponClient({
    baseUrl: "http://shop.example",
    async fetch(_, init) {
      said.push(Reflect.get(init ?? {}, "cache"));
      return init?.headers && "accept" in init.headers
        ? new Response("", { headers: { "content-type": "text/csv" } })
        : Response.json({ coupons: [] });
    },
  });
  const ask = async () => {
    await client.liveCoupons();
    await client.listUsers();
    await client
      .watchCoupons()
      .next()
      .catch(() => {});
  };
  await ask();
  t.mock.method(globalThis, "Request", () => {
    throw new Error("The 'cache' field on 'RequestInitializerDict' is not implemented.");
  });
  await ask();
  const times = (cache: unknown) => [cache, cache, cache];
  assert.deepEqual(said, [...times("no-store"), ...times(undefined)]);
});

test("what ends a rendering in advance, where nothing may be kept, goes on to who renders", async () => {
  let asked = 0;
  const ending = Object.assign(new Error("Dynamic server usage"), { digest: "DYNAMIC_SERVER_USAGE" });
  const fetch = async () => {
    asked += 1;
    throw ending;
  };
  const client = couponClient({ baseUrl: "http://shop.example", fetch });
  for (const ask of [() => client.liveCoupons(), () => client.listUsers()])
    await assert.rejects(ask, (error) => error === ending);
  assert.equal(asked, 2);
});

test("who replaces fetch() once the client is made has its requests: frameworks, and tests of who uses it", async (t) => {
  const client = couponClient({ baseUrl: "http://shop.example" });
  t.mock.method(globalThis, "fetch", async () => Response.json({ status: "ok" }));
  assert.deepEqual(await client.livez(), { status: "ok" });
});

test("a token that is asked for each time", async () => {
  const { user_id } = await buyer();
  let asked = 0;
  const client = couponClient({
    baseUrl,
    token: async () => {
      asked += 1;
      return userToken(user_id);
    },
  });
  await client.liveCoupons();
  await client.liveCoupons();
  assert.equal(asked, 2);
});

test("watching: states over a lost connection, by the service's clock, until the loop is left", async () => {
  const { client, coupon_id, user_id } = await buyer({ count: 2 });
  const remaining: (number | undefined)[] = [];
  let heard = "";
  faults = [hangUp];
  for await (const { live, server_time } of client.watchCoupons()) {
    heard = server_time;
    const left = live.find((coupon) => coupon.coupon_id === coupon_id)?.remaining;
    // The first state may be a second old, and the next one tells the same anew.
    if (left === undefined || left === remaining.at(-1)) continue;
    remaining.push(left);
    if (remaining.length === 1) assert.equal((await world.issue(coupon_id, user_id)).status, 201);
    if (remaining.length === 2) break;
  }
  assert.deepEqual(remaining, [2, 1]);
  assert.equal(came.filter(({ route }) => route === "GET /coupons/events").length, 2);
  const told = client.serverNow();
  const [now] = await world.scratch.admin`select extract(epoch from clock_timestamp()) * 1000 as now`;
  // Both clocks are this machine's: what was on its way for long is behind, and never ahead.
  assert.ok(Date.parse(heard) <= told && told <= Number(now?.["now"]), `${heard}, ${told}`);
});

test("watching: line separators that are none of the protocol's are text", async () => {
  const { client, coupon_id } = await buyer();
  const message = "half price\u2028data: {}\u2029";
  await world.scratch.owner`update coupon.coupons set message = ${message} where id = ${coupon_id}`;
  for await (const { live } of client.watchCoupons()) {
    const found = live.find((coupon) => coupon.coupon_id === coupon_id)?.message;
    if (found === undefined || found === "message") continue; // of a second ago, maybe as it was made
    assert.equal(found, message);
    break;
  }
});

test("watching: a wrong token is told, an abort ends it", async () => {
  const wrong = clientOf("x").watchCoupons();
  await assert.rejects(() => wrong.next(), { name: "CouponError", status: 401 });
  const controller = new AbortController();
  const states = clientOf(adminToken).watchStatus({ signal: controller.signal });
  assert.ok(!(await states.next()).done);
  const reason = new Error("gone");
  controller.abort(reason);
  await assert.rejects(async () => {
    for await (const _ of states);
  }, reason);
});

test("events: each once, over lost connections and while there is no stream, and on from any of them", async (t) => {
  const { coupon_id } = await buyer({ count: 6 });
  const { next_after } = await clientOf(serviceToken).listEvents({ after: "latest" });
  const issue = async () => world.issue(coupon_id, await world.newUser());
  const seen: { id: string; position: number | null }[] = [];
  for (let i = 0; i < 2; i++) await issue();
  refusedPauses(t);
  const full = refuse(503, { "retry-after": "5" });
  faults = [full];
  const after = next_after as string;
  for await (const { id, type, data } of clientOf(serviceToken).watchEvents({ after })) {
    assert.equal(data.coupon_id, coupon_id);
    if (type === "coupon.issued") seen.push({ id, position: data.position });
    if (seen.length === 2) {
      faults = [hangUp, full];
      for (let i = 0; i < 2; i++) await issue();
    }
    if (seen.length === 4) break;
  }
  assert.deepEqual(
    seen.map(({ position }) => position),
    [1, 2, 3, 4],
  );
  const again: (number | null)[] = [];
  for await (const { data } of clientOf(adminToken).watchEvents({ after: seen[1]?.id as string })) {
    again.push(data.position);
    if (again.length === 2) break;
  }
  assert.deepEqual(again, [3, 4]);
  await assert.rejects(clientOf(adminToken).watchEvents({ after: "1-0-1" }).next(), { status: 400 });
  await assert.rejects(clientOf(userToken(7)).watchEvents().next(), { status: 403 });
});

test("events from latest on: none is lost while streams break, or have no place, before anything was told", async (t) => {
  refusedPauses(t);
  const small = await openWorld();
  t.after(() => small.close());
  const server = createServer({ IncomingMessage: Incoming }, small.listener).listen(0, "127.0.0.1");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, "listening");
  const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const full = { status: 503, headers: { "retry-after": "5", "content-type": "application/problem+json" } };
  // What a page of a database without events says is taken back as it is.
  const nothing = { events: [], next_after: null };
  const lister = couponClient({ baseUrl: at, token: serviceToken });
  assert.deepEqual(await lister.listEvents(), nothing);
  assert.deepEqual(await lister.listEvents({ after: nothing.next_after as unknown as string }), nothing);
  const coupons: number[] = [];
  // In the first round nothing has happened yet.
  for (const [isLost, newest] of [
    [true, 0],
    [true, 1],
    [false, 1],
  ] as const) {
    const isFirst = { "/events": true, "/events/stream": true };
    const client = couponClient({
      baseUrl: at,
      token: serviceToken,
      async fetch(url, init) {
        const path = new URL(String(url)).pathname as keyof typeof isFirst;
        const fails = isFirst[path];
        isFirst[path] = false;
        if (!fails) return fetch(url, init);
        if (path === "/events/stream") for (let i = 0; i < 2; i++) coupons.push(await small.newCoupon());
        if (isLost) throw new TypeError("connection lost");
        return new Response('{"outcome":"overloaded"}', full);
      },
    });
    const expected = coupons.length - newest;
    const events = client.watchEvents({ after: "latest" });
    for (let i = expected; i < expected + newest + 2; i++) {
      const { value } = await events.next();
      assert.deepEqual([value?.type, value?.data.coupon_id], ["coupon.created", coupons[i]]);
    }
    await events.return();
  }
});

// ---- Answers that are not the service's ---------------------------------------------------------------------------

for (const [what, retryAfter, seconds] of [
  ["an hour", "3600", 3600],
  ["a month, for which no timer waits", "2592000", 2_592_000],
  ["a day in another century", "Fri, 01 Jan 2100 00:00:00 GMT", undefined],
] as const)
  test(`Retry-After beyond what a call waits is an error at once: ${what}`, bounded, async () => {
    const { client, coupon_id } = await buyer();
    faults = [refuse(503, { "retry-after": retryAfter })];
    await assert.rejects(client.issueCoupon({ coupon_id }), (error) => {
      assert.ok(error instanceof CouponError);
      assert.deepEqual([error.status, error.outcome], [503, "overloaded"]);
      if (seconds) assert.equal(error.retryAfter, seconds);
      else assert.ok((error.retryAfter ?? 0) > 1e9);
      return true;
    });
    assert.equal(came.length, 1);
  });

test("Retry-After of several on the way is the first one's, and may have parts of a second", async () => {
  const { client, coupon_id } = await buyer();
  for (const [given, seconds] of [
    ["3600, 2", 3600],
    ["1800 , 3600", 1800],
    ["45.5", 45.5],
  ] as const) {
    faults = [refuse(503, { "retry-after": given })];
    await assert.rejects(client.issueCoupon({ coupon_id }), { status: 503, retryAfter: seconds });
  }
  assert.equal(came.length, 3);
});

test("Retry-After may be a date in a form that does not name its zone: it is GMT", async (t) => {
  const { client, coupon_id } = await buyer();
  const zone = process.env["TZ"];
  t.after(() => {
    if (zone === undefined) delete process.env["TZ"];
    else process.env["TZ"] = zone;
  });
  for (const TZ of ["Asia/Seoul", "America/New_York"]) {
    process.env["TZ"] = TZ;
    const date = "Mon, 30 Nov 2026 01:00:00 GMT";
    faults = [refuse(503, { date, "retry-after": "Mon Nov 30 01:01:00 2026" })];
    await assert.rejects(client.issueCoupon({ coupon_id }), { status: 503, retryAfter: 60 });
  }
});

test("Retry-After that is nothing is no wait", async () => {
  const { client, coupon_id } = await buyer();
  faults = ["-1", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"].map((given) =>
    refuse(503, { "retry-after": given }),
  );
  assert.equal((await client.issueCoupon({ coupon_id })).outcome, "issued");
  assert.equal(came.length, 4);
});

test("watching: a page instead of a stream is an error, and asked once", bounded, async () => {
  faults = [
    (_, response) => void response.writeHead(200, { "content-type": "text/html" }).end("<h1>Log in</h1>"),
  ];
  await assert.rejects(clientOf(adminToken).watchCoupons().next(), {
    outcome: "unexpected_answer",
    detail: "The answer is no stream of events.",
    status: 200,
  });
  assert.equal(came.length, 1);
});

/** What stands before the service, and answers in its place. */
const instead =
  (status: number, body: string): Fault =>
  (_, response) =>
    void response.writeHead(status, { "content-type": "application/json" }).end(body);

const admin = () => clientOf(adminToken);
const issue = () => admin().issueCoupon({ coupon_id: 1, user_id: 1 });
for (const [what, call, status, body, detail] of [
  ["a gateway's 404", issue, 404, '{"message":"no Route matched"}', "HTTP 404 without a problem"],
  ["a gateway's 409", issue, 409, '{"error":"Conflict"}', "HTTP 409 without a problem"],
  ["a gateway's own problem", issue, 409, '{"title":"Conflict","detail":"d"}', "d"],
  ["a refusal with a number for an outcome", issue, 409, '{"outcome":5}', "HTTP 409 without a problem"],
  ["a health check", issue, 200, '{"status":"ok"}', "The answer has no outcome."],
  ["a list", issue, 200, "[]", "The answer has no outcome."],
  ["a number for an outcome", issue, 201, '{"outcome":5}', "The answer has no outcome."],
  ["no text at all", issue, 500, '{"outcome":5,"detail":{"a":1}}', "HTTP 500 without a problem"],
  ["wrong kinds", issue, 400, '{"outcome":{},"errors":"e","request_id":7}', "HTTP 400 without a problem"],
  ["no coupons", () => admin().liveCoupons(), 200, '{"ok":1}', "The answer has no coupons."],
  ["no list", () => admin().wallet({ user_id: 1 }), 200, '{"coupons":{}}', "The answer has no coupons."],
  ["no rows", () => admin().couponStatus(), 200, '{"coupons":[null]}', "The answer has no coupons."],
  [
    "no coupon",
    () => admin().findCoupon({ coupon_id: 1 }),
    200,
    '{"status":"ok"}',
    "The answer has no coupon_id.",
  ],
  ["no token", () => admin().demoToken({ role: "admin" }), 200, '{"token":1}', "The answer has no token."],
  ["no users", () => admin().importUsers({ users: [] }), 409, '{"users":[]}', "HTTP 409 without a problem"],
] as const)
  test(`an answer of somebody else is no result: ${what}`, async () => {
    faults = [instead(status, body)];
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof CouponError);
      assert.deepEqual(
        [error.message, error.status, error.errors, error.requestId],
        [`unexpected_answer: ${detail}`, status, [], undefined],
      );
      return true;
    });
    assert.equal(came.length, 1);
  });

test("watching: lists that are none, where a stream has no place, are an error", bounded, async () => {
  for (const lists of [
    [instead(200, '{"ok":1}')],
    [instead(200, '{"coupons":[]}'), instead(200, '{"coupons":1}')],
  ]) {
    faults = [refuse(503, { "retry-after": "5" }), ...lists];
    await assert.rejects(admin().watchCoupons().next(), {
      message: "unexpected_answer: The answer has no coupons.",
      status: 200,
    });
  }
  faults = [refuse(503, { "retry-after": "5" }), instead(200, '{"ok":1}')];
  await assert.rejects(admin().watchStatus().next(), { outcome: "unexpected_answer" });
});

/** The pauses of a client that is refused a stream and asked to wait for 5 s (6.25 s at random), ms; they pass at once. */
function refusedPauses(t: TestContext): number[] {
  const pauses: number[] = [];
  const { setTimeout: start } = globalThis;
  t.mock.method(Math, "random", () => 1);
  t.mock.method(globalThis, "setTimeout", (work: () => void, ms: number, ...more: []) => {
    // The service, in this process too, has timers of its own.
    if (![2500, 1250, 800].includes(ms)) return start(work, ms, ...more);
    pauses.push(ms);
    return start(work, 0);
  });
  return pauses;
}

test("watching: whoever finds no place asks for the state, until there is one", async (t) => {
  const pauses = refusedPauses(t);
  const clock = createClock();
  const small = await openWorld({ maxStreams: 2, clock });
  t.after(() => small.close());
  const watching = createServer({ IncomingMessage: Incoming }, small.listener).listen(0, "127.0.0.1");
  t.after(() => {
    watching.closeAllConnections();
    watching.close();
  });
  await once(watching, "listening");
  const at = `http://127.0.0.1:${(watching.address() as AddressInfo).port}`;
  const watcher = (token: string) => couponClient({ baseUrl: at, token }).watchCoupons();
  const [first, second, third] = [1, 2, 3].map((id) => watcher(userToken(id))) as [Feed, Feed, Feed];
  for (const placed of [first, second]) await placed.next();
  assert.equal(small.app.streams(), 2);

  /** What it is told next, as of a second later. While it is told nothing time goes on: a stream that has just begun has its turn then. */
  const told = async () => {
    await clock.pass(1_000);
    const next = third.next();
    while ((await Promise.race([next, sleep(100)])) === undefined) await clock.pass(1_000);
    return (await next).value;
  };
  const seen = async () =>
    (await told())?.live.map(({ coupon_id, paused, sold_out }) => [coupon_id, paused, sold_out]);
  assert.deepEqual(await seen(), []);
  const coupon = await small.newCoupon({ count: 1 });
  assert.deepEqual(await seen(), [[coupon, false, false]]);
  const soon = await small.newCoupon({ from: "1 hour" });
  assert.deepEqual(
    (await told())?.upcoming.map(({ coupon_id }) => coupon_id),
    [soon],
  );
  await small.scratch.admin`select from pause_coupon(${coupon})`;
  assert.deepEqual(await seen(), [[coupon, true, false]]);
  await small.scratch.admin`select from resume_coupon(${coupon})`;
  await small.issue(coupon, await small.newUser());
  assert.deepEqual(await seen(), [[coupon, false, true]]);
  assert.deepEqual(pauses, [2500, 2500, 1250, 2500, 2500, 1250]);

  await second.return();
  while (small.app.streams() > 1) await new Promise((resolve) => setImmediate(resolve));
  while (small.app.streams() < 2) assert.deepEqual(await seen(), [[coupon, false, true]]);
  // Back on the stream, which tells what is new, it asks no more.
  const asked = pauses.length;
  const next = await small.newCoupon();
  while (!(await seen())?.some(([id]) => id === next));
  assert.deepEqual([pauses.length, small.app.streams()], [asked, 2]);
  await Promise.all([first.return(), third.return()]);
});

test("watching without a place and a token: nobody takes the sight away by asking for invented coupons", async (t) => {
  refusedPauses(t);
  const small = await openWorld({ maxStreams: 0, clock: createClock() });
  t.after(() => small.close());
  const watching = createServer({ IncomingMessage: Incoming }, small.listener).listen(0, "127.0.0.1");
  t.after(() => {
    watching.closeAllConnections();
    watching.close();
  });
  await once(watching, "listening");
  const baseUrl = `http://127.0.0.1:${(watching.address() as AddressInfo).port}`;
  for (let id = 1; id <= 101; id++) await (await fetch(`${baseUrl}/coupons/${id}`)).text();
  const blind = new AbortController();
  let attempts = 0;
  const client = couponClient({
    baseUrl,
    fetch(url, init) {
      if (String(url).endsWith("/events") && ++attempts > 1) blind.abort(new Error("no state was told"));
      return fetch(url, init);
    },
  });
  const { value } = await client.watchCoupons({ signal: blind.signal }).next();
  assert.deepEqual([value?.live, value?.upcoming], [[], []]);
});

test("watching without a place: a coupon that starts between two answers is in one of the lists", async (t) => {
  refusedPauses(t);
  const at = (seconds: string) => `2030-01-01T00:00:${seconds}Z`;
  const coupon = (id: number, seconds: string) => ({ coupon_id: id, start_time: at(seconds) });
  const [soon, later] = [coupon(7, "10"), coupon(8, "20")];
  // Caches keep each list for a second, so either may be the older one.
  const answers = [
    [
      { coupons: [], server_time: at("08.5") },
      { coupons: [soon, later], server_time: at("08.1") },
    ],
    [
      { coupons: [], server_time: at("09.9") },
      { coupons: [later], server_time: at("10") },
    ],
    [
      { coupons: [soon], server_time: at("12") },
      { coupons: [soon, later], server_time: at("09.99") },
    ],
    [
      { coupons: [soon], server_time: at("14") },
      { coupons: [later], server_time: at("14.1") },
    ],
    [
      { coupons: [soon], server_time: at("19.9") },
      { coupons: [], server_time: at("21") },
    ],
  ];
  const asked = { "/coupons/live": 0, "/coupons/upcoming": 0 };
  const client = couponClient({
    async fetch(url) {
      const path = String(url).replace(/\?.*/, "") as keyof typeof asked | "/coupons/events";
      if (path === "/coupons/events")
        return new Response("{}", { status: 503, headers: { "retry-after": "25" } });
      const answer = answers[asked[path]]?.[path === "/coupons/live" ? 0 : 1];
      asked[path] += 1;
      return Response.json(answer);
    },
  });
  const told = [];
  for await (const { live, upcoming } of client.watchCoupons()) {
    told.push([live, upcoming].map((list) => list.map(({ coupon_id }) => coupon_id)));
    if (told.length === answers.length) break;
  }
  assert.deepEqual(told, [
    [[], [7, 8]],
    [[], [7, 8]],
    [[7], [8]],
    [[7], [8]],
    [[7], [8]],
  ]);
});

test("watching: a state that can't be told now is asked for again, and a final problem is told", async (t) => {
  refusedPauses(t);
  const full = refuse(503, { "retry-after": "5" });
  faults = [full, full, full, hangUp, full];
  const states = clientOf(adminToken).watchStatus();
  assert.ok(!(await states.next()).done);
  const routes = came.map(({ route }) => route.replace("GET /coupons/", ""));
  assert.deepEqual(routes, ["status/events", "status", "status", "status/events", "status/events", "status"]);
  faults = [hangUp, full, refuse(403)];
  await states.return();
  await assert.rejects(clientOf(adminToken).watchStatus().next(), { status: 403 });
});

/** The growing pauses of a client, ms; they pass at once. */
function growingPauses(t: TestContext): number[] {
  const pauses: number[] = [];
  const { setTimeout: start } = globalThis;
  t.mock.method(Math, "random", () => 1);
  t.mock.method(globalThis, "setTimeout", (work: () => void, ms: number, ...more: []) => {
    // The service, in this process too, has timers of its own.
    if (![400, 800, 1600, 2500, 700].includes(ms)) return start(work, ms, ...more);
    pauses.push(ms);
    return start(work, 0);
  });
  return pauses;
}

/** A stream that ends after these events; what is no stream is served. */
const ending = (...events: string[]): Fault =>
  function end(request, response, serve) {
    if (!request.url?.endsWith("/events")) {
      faults.unshift(end);
      return serve();
    }
    return void response
      .writeHead(200, { "content-type": "text/event-stream" })
      .end([":", ...events.map((data) => `data: ${data}`), ""].join("\n\n"));
  };

const EMPTY = '{"live":[],"upcoming":[]}';

for (const [what, ...events] of [
  ["without a state"],
  ["after what is no state", "{}"],
  ["after what is no object", "null"],
  ["after what is no JSON", "hello"],
  ["after half a state", '{"live":[]}'],
  ["after a state of other kinds", '{"live":{},"upcoming":[]}'],
] as const)
  test(
    `watching: the pauses grow while streams end ${what}, and in a long one the state is asked for`,
    bounded,
    async (t) => {
      const pauses = growingPauses(t);
      faults = Array(5).fill(ending(...events));
      const states = admin().watchCoupons();
      for (const before of [
        [400, 800, 1600],
        [2500, 700], // 3200, with a question at its head
        [2500], // within 6400, and asked for again
      ]) {
        assert.ok((await states.next()).value?.server_time, "the service's own");
        assert.deepEqual(pauses.splice(0), before);
      }
      await states.return();
    },
  );

test("watching: a token that cannot be had now is asked for again, until the signal", bounded, async (t) => {
  growingPauses(t);
  let fails = 5;
  const leaving = new AbortController();
  const client = couponClient({
    baseUrl,
    token() {
      if (fails === 0) return adminToken;
      fails -= 1;
      if (leaving.signal.aborted) throw new Error("asked again");
      throw new TypeError("the provider is not reached");
    },
  });
  const states = client.watchStatus({ signal: leaving.signal });
  assert.ok((await states.next()).value?.coupons);
  await states.return();
  fails = Number.POSITIVE_INFINITY;
  const reason = new Error("closed the page");
  const next = client.watchStatus({ signal: leaving.signal }).next();
  leaving.abort(reason);
  await assert.rejects(next, reason);
});

test("watching: a state of another stream is none", bounded, async (t) => {
  const pauses = growingPauses(t);
  faults = Array(2).fill(ending(EMPTY));
  const states = admin().watchStatus();
  const { value } = await states.next();
  await states.return();
  assert.ok(value?.coupons);
  assert.deepEqual(pauses, [400, 800]);
});

test("watching: what follows a state that is none is not read on that stream", bounded, async (t) => {
  growingPauses(t);
  faults = [ending("{}", EMPTY)];
  const states = admin().watchCoupons();
  const { value } = await states.next();
  await states.return();
  assert.ok(value?.server_time, "the service's own");
});

test(
  "watching: the pauses grow while streams end at once after a state, until one lived",
  bounded,
  async (t) => {
    const pauses = growingPauses(t);
    let passed = 0;
    const { performance: real } = globalThis;
    const now = real.now.bind(real);
    t.mock.method(performance, "now", () => now() + passed);
    faults = Array(6).fill(ending(EMPTY));
    const states = admin().watchCoupons();
    for (let seen = 1; seen <= 6; seen++) {
      assert.deepEqual((await states.next()).value, JSON.parse(EMPTY));
      // The fourth lives for a minute.
      if (seen === 4) passed += 60_000;
    }
    assert.ok((await states.next()).value?.server_time);
    await states.return();
    assert.deepEqual(pauses, [400, 800, 1600, 400, 800, 1600]);
  },
);

test("the service's clock is right at the next answer after the device's was set, and no nonsense moves it", async (t) => {
  let server = Date.now() + 5_000;
  let set = 0;
  let passed = 0;
  const [real, monotonic] = [Date.now(), performance.now()];
  t.mock.method(Date, "now", () => real + passed + set);
  t.mock.method(performance, "now", () => monotonic + passed);
  let server_time: unknown;
  let headers: Record<string, string> = {};
  const client = couponClient({
    fetch: async () => Response.json({ coupons: [], server_time }, { headers }),
  });
  const hear = (time: unknown = new Date(server).toISOString()) => {
    server_time = time;
    return client.liveCoupons();
  };
  const pass = (ms: number) => {
    passed += ms;
    server += ms;
  };
  for (let i = 0; i < 40; i++) {
    await hear();
    pass(100);
  }
  assert.equal(client.serverNow(), server);
  for (const by of [600_000, -600_000, -3_600_000, 1_000]) {
    set += by;
    if (by < 0) assert.equal(client.serverNow(), server, "set back: known before the next answer");
    await hear();
    assert.equal(client.serverNow(), server, `set by ${by}`);
    pass(100);
  }
  for (const nonsense of ["yesterday", 17, null]) await hear(nonsense);
  assert.equal(client.serverNow(), server);

  // Of a body that the service had for 740 ms and a cache for 2 s, which the service's clock, set forward, tells better than before.
  server += 5_000;
  headers = { "x-age-ms": "740", age: "2" };
  await hear(new Date(server - 2_740).toISOString());
  assert.equal(client.serverNow(), server);
  headers = { "x-age-ms": "-1e9", age: "soon" };
  await hear();
  assert.equal(client.serverNow(), server);
  // Of a cache whose clock is ahead of that of the server's machine by ten minutes, or the other way round.
  headers = { "x-age-ms": "740", age: "600" };
  await hear(new Date(server - 740).toISOString());
  assert.equal(client.serverNow(), server);
});

test("lists come as CSV, whole or not at all", async () => {
  const { user_id, coupon_id, client } = await buyer();
  await client.issueCoupon({ coupon_id });
  const admin = clientOf(adminToken);
  const csv = await (await admin.listGrants({ coupon_id })).text();
  assert.match(csv, new RegExp(`^position,user_id,[a-z_,]*\r\n1,${user_id},[^\r\n]*,,\r\n$`));
  assert.match(
    await (await admin.listUsers({ after: user_id - 1 })).text(),
    /^user_id,display_name\r\n\d+,[^\r\n]+\r\n$/,
  );

  const outcomeOf = async (list: Promise<Blob>) => {
    const error = await list.catch((thrown: unknown) => thrown);
    assert.ok(error instanceof CouponError);
    return error.outcome;
  };
  assert.equal(await outcomeOf(client.listGrants({ coupon_id })), "forbidden");
  assert.equal(await outcomeOf(admin.listGrants({ coupon_id: 999_999 })), "coupon_not_found");
  came = [];
  faults = [
    (_, response) => {
      response.writeHead(200, { "content-type": "text/csv" }).write("position,user_id\r\n1,");
      setImmediate(() => response.destroy());
    },
    hangUp,
    (_, response) => void response.writeHead(200, { "content-type": "text/html" }).end("<p>Sign in</p>"),
    refuse(503),
    (_, response) => {
      response.writeHead(503, { "content-length": 1_000 }).write("{");
      setImmediate(() => response.destroy());
    },
  ];
  assert.equal(await outcomeOf(admin.listGrants({ coupon_id })), "connection_lost");
  assert.equal(await outcomeOf(admin.listGrants({ coupon_id })), "connection_lost");
  assert.equal(await outcomeOf(admin.listGrants({ coupon_id })), "unexpected_answer");
  assert.equal(await outcomeOf(admin.listGrants({ coupon_id })), "overloaded");
  assert.equal(await outcomeOf(admin.listGrants({ coupon_id })), "connection_lost");
  assert.equal(came.length, 5, "none was sent again");
  const gone = AbortSignal.abort(new Error("left"));
  await assert.rejects(admin.listUsers({}, { signal: gone }), { message: "left" });
});

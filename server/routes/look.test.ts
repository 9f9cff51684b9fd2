/** What is on offer, for whoever looks: read once a second, and sent before the router. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import {
  type AppOptions,
  adminToken,
  assertProblem,
  openWorld,
  serviceToken,
  userToken,
} from "../../bench/harness/app.ts";
import { createClock } from "../../bench/harness/clock.ts";
import { assertDocumented } from "../../bench/harness/documented.ts";
import { invalid } from "../../bench/harness/routes.ts";
import { DatabaseError } from "../database/errors.ts";

interface Told {
  status: number;
  headers: Headers;
  text: string;
}

/** A world whose clock stands still, its queries of what is on offer counted, and who asks it over connections. */
async function open(t: TestContext, given: AppOptions = {}) {
  const clock = createClock();
  const world = await openWorld({ clock, ...given });
  t.after(world.close);
  const reads: string[] = [];
  const failing = { with: undefined as Error | undefined };
  for (const name of ["liveCoupons", "upcomingCoupons", "findCoupon"] as const) {
    const read = world.db[name] as (given: never) => Promise<unknown>;
    Object.assign(world.db, {
      [name]: async (given: never) => {
        reads.push(name);
        if (failing.with) throw failing.with;
        return read(given);
      },
    });
  }
  const server = createServer(world.listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;

  /** Not by fetch(), which adds headers of its own. */
  function ask(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Told> {
    return new Promise((resolve, reject) => {
      const asking = request({ port, host: "127.0.0.1", path, method, headers }, async (answer) => {
        let text = "";
        for await (const part of answer) text += part;
        const told = {
          status: answer.statusCode as number,
          headers: new Headers(answer.headers as Record<string, string>),
          text,
        };
        if (method === "GET" && text !== "")
          assertDocumented(method, path, { ...told, body: JSON.parse(text) });
        resolve(told);
      });
      asking.on("error", reject).end();
    });
  }
  return { world, clock, reads, failing, ask };
}

const told = ({ status, headers, text }: Told) => [
  status,
  text,
  ...["cache-control", "etag", "content-type", "content-length"].map((name) => headers.get(name)),
];

test("without a token: live, upcoming and one coupon; the same bytes as with one, before the router and behind it", async (t) => {
  const { world, reads, ask } = await open(t);
  const coupon = await world.newCoupon();
  await world.newCoupon({ from: "1 hour" });
  for (const [path, read, bare] of [
    ["/coupons/live", "liveCoupons", "/coupons/live?page_size=100"],
    ["/coupons/upcoming", "upcomingCoupons", "/coupons/upcoming?"],
    ["/coupons/upcoming?page_size=7", "upcomingCoupons", "/coupons/upcoming?page_size=%37"],
    [`/coupons/${coupon}`, "findCoupon", `/coupons/%3${coupon}`],
  ] as const) {
    reads.length = 0;
    const first = await ask(path);
    assert.deepEqual(
      [first.status, first.headers.get("cache-control")],
      [200, "public, max-age=1, stale-while-revalidate=1"],
    );
    assert.match(first.headers.get("etag") ?? "", /^"[\w-]{22}"$/);
    const others = [await ask(path), await ask(bare)];
    for (const token of [userToken(1), serviceToken, adminToken])
      others.push(await ask(path, { authorization: `Bearer ${token}` }));
    for (const other of others) assert.deepEqual(told(other), told(first), path);
    assert.deepEqual(reads, [read]);
  }
});

test("a body is a second old at most, and says how old it is", async (t) => {
  const { world, clock, reads, ask } = await open(t);
  const coupon = await world.newCoupon();
  const remaining = async () => {
    const { text, headers } = await ask("/coupons/live");
    return [JSON.parse(text).coupons[0]?.remaining, headers.get("x-age-ms")];
  };
  assert.deepEqual(await remaining(), [10, "0"]);
  await world.issue(coupon, await world.newUser());
  await clock.pass(999);
  assert.deepEqual(await remaining(), [10, "999"]);
  await clock.pass(1);
  assert.deepEqual(await remaining(), [9, "0"]);
  assert.equal(reads.length, 2);
});

test("an ETag of all of the body: 304 for as long as that is told, before the router and behind it", async (t) => {
  const { clock, ask } = await open(t);
  const first = await ask("/coupons/live");
  const etag = first.headers.get("etag") as string;
  for (const [headers, status] of [
    [{ "if-none-match": etag }, 304],
    [{ "if-none-match": `W/${etag}` }, 304],
    [{ "if-none-match": `"other", ${etag}` }, 304],
    [{ "if-none-match": "*" }, 304],
    [{ "if-none-match": etag, authorization: `Bearer ${serviceToken}` }, 304],
    [{ "if-none-match": '"other"' }, 200],
  ] as const) {
    const again = await ask("/coupons/live", headers);
    assert.deepEqual(
      [again.status, again.text, again.headers.get("etag"), again.headers.get("x-age-ms")],
      [status, status === 304 ? "" : first.text, etag, "0"],
    );
  }
  await clock.pass(1_000);
  // Nothing but server_time has changed. A cache that kept the old one would tell the time of long ago.
  const later = await ask("/coupons/live", { "if-none-match": etag });
  assert.deepEqual([later.status, later.headers.get("etag") === etag], [200, false]);
});

test("every request has its id, its trace and its origin, is counted and logged, and HEAD has no body", async (t) => {
  const { world, ask } = await open(t);
  await ask("/coupons/live");
  const headers = {
    "x-request-id": "mine",
    traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`,
    origin: "https://shop.example",
  };
  for (const authorization of [undefined, `Bearer ${serviceToken}`]) {
    const answer = await ask("/coupons/live", { ...headers, ...(authorization && { authorization }) });
    assert.equal(answer.headers.get("x-request-id"), "mine");
    assert.equal(answer.headers.get("traceparent"), null);
    assert.equal(answer.headers.get("access-control-allow-origin"), "https://shop.example");
  }
  const [one, two] = [await ask("/coupons/live?page_size=3"), await ask("/coupons/live?page_size=3")];
  assert.notEqual(one.headers.get("x-request-id"), two.headers.get("x-request-id"));
  const head = await ask("/coupons/live", {}, "HEAD");
  assert.deepEqual([head.status, head.text], [200, ""]);
  const lines = world.logged.filter(({ path, method }) => path === "/coupons/live" && method === "GET");
  assert.deepEqual(
    lines.map(({ status, request_id }) => [status, request_id === "mine"]),
    [false, true, true, false, false].map((isMine) => [200, isMine]),
  );
  const series = world.metrics.requests.all().find(({ labels }) => labels["http_request_method"] === "GET");
  assert.deepEqual(
    [series?.labels, series?.buckets.reduce((a, b) => a + b)],
    [
      {
        http_request_method: "GET",
        http_response_status_code: 200,
        http_route: "/coupons/live",
        url_scheme: "http",
      },
      5,
    ],
  );
});

test("whoever asks first reads, and all who ask meanwhile share that", async (t) => {
  const { reads, ask } = await open(t);
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask("/coupons/live")));
  assert.deepEqual([new Set(answers.map(({ text }) => text)).size, reads.length], [1, 1]);
});

test("a failure is told and not kept; what is final is kept for a second", async (t) => {
  const { world, clock, reads, failing, ask } = await open(t);
  failing.with = new DatabaseError("unavailable", "", "no database");
  for (const path of ["/coupons/live", "/coupons/1"])
    for (let i = 0; i < 2; i++) {
      const { status, headers } = await ask(path);
      assert.deepEqual([status, headers.get("cache-control")], [503, "no-store"]);
    }
  assert.equal(reads.length, 4);
  failing.with = undefined;
  assert.equal((await ask("/coupons/live")).status, 200);
  reads.length = 0;
  const absent = `/coupons/${(await world.newCoupon()) + 1}`;
  for (let i = 0; i < 3; i++) assert.equal((await ask(absent)).status, 404);
  assert.deepEqual(reads, ["findCoupon"]);
  await world.newCoupon();
  await clock.pass(1_000);
  assert.equal((await ask(absent)).status, 200);
  world.logged.length = 0;
});

test("invented targets: so many a second are read, the first pages always, and whoever has a token", async (t) => {
  const { clock, reads, ask } = await open(t);
  const statuses = new Map<number, number>();
  for (let id = 1; id <= 150; id++) {
    const { status } = await ask(`/coupons/${id}`);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  assert.deepEqual([...statuses, reads.length], [[404, 100], [503, 50], 100]);
  for (const path of ["/coupons/live", "/coupons/upcoming"]) assert.equal((await ask(path)).status, 200);
  const authorization = `Bearer ${serviceToken}`;
  assert.equal((await ask("/coupons/live?page_size=3", { authorization })).status, 200);
  assert.equal((await ask("/coupons/live?page_size=3")).status, 503);
  await clock.pass(1_000);
  assert.equal((await ask("/coupons/live?page_size=3")).status, 200);
});

test("a token that is sent must be valid", async (t) => {
  const { ask } = await open(t);
  await ask("/coupons/live");
  for (const authorization of ["", "Bearer", "Bearer x", "Basic eDp5", `Bearer ${userToken(1)}x`])
    for (const path of ["/coupons/live", "/coupons/upcoming", "/coupons/1", "/coupons/events"])
      assert.equal((await ask(path, { authorization })).status, 401, `${authorization} ${path}`);
});

test("wrong queries are refused as before", async (t) => {
  const { world, ask } = await open(t);
  await ask("/coupons/live");
  for (const [query, member, detail] of [
    ["x=1", "x", "is not a member of this request"],
    ["page_size=0", "page_size", "must be a whole number from 1 to 1000"],
  ] as const)
    assertProblem(await world.call(`GET /coupons/live?${query}`), 400, invalid([member, detail]));
  assert.equal((await ask("/coupons/live", {}, "POST")).status, 404);
});

test("PUBLIC_OFFERS=off: a token is needed, and nothing is for other caches", async (t) => {
  const { world, reads, ask } = await open(t, { env: { PUBLIC_OFFERS: "off" } });
  const coupon = await world.newCoupon();
  const authorization = `Bearer ${userToken(1)}`;
  for (const path of ["/coupons/live", "/coupons/upcoming", `/coupons/${coupon}`]) {
    for (let i = 0; i < 2; i++) {
      const { status, headers } = await ask(path, { authorization });
      assert.deepEqual([status, headers.get("cache-control")], [200, "private, no-cache"]);
    }
    assert.equal((await ask(path)).status, 401);
  }
  assert.equal((await ask("/coupons/events")).status, 401);
  assert.equal(reads.length, 3);
});

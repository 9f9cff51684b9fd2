import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { openWorld, userToken, type World } from "../../bench/harness/app.ts";
import { headers } from "../api/openapi-answers.ts";
import { createCors } from "./cors.ts";

const SHOP = "https://shop.example";

let world: World;
let base: string;
let close: () => Promise<unknown>;
before(async () => {
  world = await openWorld();
  const server = world.server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  close = () => new Promise((resolve) => server.close(resolve));
});
after(async () => {
  await close();
  await world.close();
});

const cors = (headers: Headers) =>
  Object.fromEntries([...headers].filter(([name]) => name === "vary" || name.startsWith("access-control")));
const allowed = {
  vary: "origin",
  "access-control-allow-origin": SHOP,
  "access-control-expose-headers":
    "age, deprecation, etag, ratelimit, retry-after, sunset, traceparent, www-authenticate, x-age-ms, x-request-id",
};

test("nobody is allowed: nothing is said", () => {
  assert.deepEqual(createCors([]).headers(SHOP), {});
  assert.deepEqual(createCors([]).preflight(SHOP), {});
});

test("each header of the document can be read", () => {
  // Any page may read cache-control (WHATWG Fetch, 2.2.6); the other one is for nginx.
  const told = Object.keys(headers).filter((name) => !["cache-control", "x-accel-buffering"].includes(name));
  assert.deepEqual(allowed["access-control-expose-headers"].split(", "), ["age", ...told].sort());
});

test("an origin that is allowed reads answers: of routes, the burst's own request, refusals, pages and streams", async () => {
  const [user, coupon] = [await world.newUser(), await world.newCoupon()];
  const headers = { origin: SHOP, authorization: `Bearer ${await userToken(user)}` };
  for (const [method, path, status] of [
    ["GET", "/coupons/live", 200],
    ["POST", `/coupons/${coupon}/issue`, 201],
    ["POST", "/coupons/999999/issue", 404],
    ["POST", "/coupons/1/pause", 403],
    ["GET", "/openapi.json", 200],
    ["GET", "/nothing", 404],
    ["GET", "/coupons/events", 200],
  ] as const) {
    const answer = await fetch(base + path, { method, headers });
    assert.equal(answer.status, status, path);
    assert.deepEqual(cors(answer.headers), allowed, path);
    await answer.body?.cancel();
  }
});

test("no other origin, and no origin, is told that it may", async () => {
  for (const origin of [
    undefined,
    "https://evil.example",
    "http://shop.example",
    `${SHOP}.evil.example`,
    "null",
  ])
    for (const path of ["/coupons/live", "/coupons/1/issue"]) {
      const method = path.endsWith("issue") ? "POST" : "GET";
      const answer = await fetch(base + path, {
        method,
        headers: { ...(origin ? { origin } : {}), authorization: `Bearer ${await userToken(1)}` },
      });
      assert.deepEqual(cors(answer.headers), { vary: "origin" }, `${origin} ${path}`);
      await answer.body?.cancel();
    }
});

test("preflight", async () => {
  const ask = (origin: string) =>
    fetch(`${base}/coupons/1/issue`, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
      },
    });
  const yes = await ask(SHOP);
  assert.equal(yes.status, 204);
  assert.deepEqual(cors(yes.headers), {
    ...allowed,
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers":
      "*, authorization, content-type, if-none-match, last-event-id, traceparent, x-changed-ms, x-request-id",
    "access-control-max-age": "7200",
  });
  const no = await ask("https://evil.example");
  assert.equal(no.status, 204);
  assert.deepEqual(cors(no.headers), { vary: "origin" });
});

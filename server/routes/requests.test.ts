/** What holds for every request, whatever it asks for. */
import assert from "node:assert/strict";
import type { Server } from "node:http";
import { type AddressInfo, type Socket as Connection, connect as connectTcp } from "node:net";
import { test } from "node:test";
import { createAdaptorServer } from "@hono/node-server";
import { adminToken, assertProblem, serviceToken } from "../../bench/harness/app.ts";
import { routesWorld } from "../../bench/harness/routes.ts";

const { world, asAdmin, wrongBodyTests } = routesWorld();

test("a path that isn't there, a method that it doesn't have", async () => {
  for (const route of [
    "GET /nothing",
    "GET /coupons/1/issue",
    "DELETE /coupons/1",
    "GET /coupons/1/",
    "GET //livez",
  ])
    assertProblem(await world().call(route, { token: adminToken }), 404, {
      outcome: "no_such_route",
      detail: "There is nothing at this path.",
    });
});

for (const [name, run] of wrongBodyTests([
  [
    "two unknown members",
    "POST /coupons/1/pause",
    { a: 1, b: 2 },
    ["a", "is not a member of this request"],
    ["b", "is not a member of this request"],
  ],
  ["no object", "POST /coupons/1/pause", [], ["", "must be an object"]],
  ["null", "POST /coupons/1/pause", null, ["", "must be an object"]],
]))
  test(name, run);

test("400: no JSON", async () => {
  for (const body of ["{", "{'a': 1}", " ", '"\n"', "{}x"])
    assertProblem(await asAdmin("POST /coupons/1/pause", body), 400, {
      outcome: "invalid_request",
      detail: "The body is not valid JSON.",
    });
});

test("415: another content type", async () => {
  for (const type of [
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/jsonp",
    "text/plain; application/json",
  ])
    assertProblem(
      await world().call("POST /coupons/1/pause", {
        token: adminToken,
        body: "{}",
        headers: { "content-type": type },
      }),
      415,
      { outcome: "invalid_request", detail: "The body must be application/json." },
    );
  const { status } = await world().call("POST /coupons/999999/pause", {
    token: adminToken,
    body: "{}",
    headers: { "content-type": "Application/JSON; charset=utf-8" },
  });
  assert.equal(status, 404);
});

test("413: a body that is too large", async () => {
  const padded = (bytes: number) => `{}${" ".repeat(bytes - 2)}`;
  assert.equal((await asAdmin("POST /coupons/999999/pause", padded(16_384))).status, 404);
  assertProblem(await asAdmin("POST /coupons/999999/pause", padded(16_385)), 413, {
    outcome: "invalid_request",
    detail: "The body must have at most 16384 bytes.",
  });
  assert.equal((await asAdmin("POST /users", padded(4_194_304))).status, 400);
  assertProblem(await asAdmin("POST /users", padded(4_194_305)), 413, {
    outcome: "invalid_request",
    detail: "The body must have at most 4194304 bytes.",
  });
});

// ---- Over a real connection -----------------------------------------------------------------------------------------

/** Sends these bytes to a server of the app and returns all that it answers until it or we close. */
async function overTheWire(...chunks: string[]): Promise<string> {
  const server = createAdaptorServer({ fetch: world().app.fetch }) as Server;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const connection: Connection = connectTcp((server.address() as AddressInfo).port, "127.0.0.1");
  for (const chunk of chunks) connection.write(chunk);
  try {
    let answer = "";
    for await (const data of connection) {
      answer += data;
      if (answer.endsWith("}")) break;
    }
    return answer;
  } finally {
    connection.destroy();
    server.closeAllConnections();
    server.close();
  }
}

const head = (length: string) =>
  `POST /coupons/999999/pause HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${adminToken}\r\n` +
  `Content-Type: application/json\r\n${length}\r\n\r\n`;

test("411: a body without Content-Length", async () => {
  const answer = await overTheWire(head("Transfer-Encoding: chunked"), "2\r\n{}\r\n0\r\n\r\n");
  assert.match(answer, /^HTTP\/1.1 411 .*A body must come with its Content-Length/s);
});

test("413: announced, and never sent", async () => {
  assert.match(await overTheWire(head("Content-Length: 99999999999")), /^HTTP\/1.1 413 /);
});

test("no body at all, and an empty one", async () => {
  assert.match(await overTheWire(head("X-None: 1")), /^HTTP\/1.1 404 .*"coupon_not_found"/s);
  assert.match(await overTheWire(head("Content-Length: 0")), /^HTTP\/1.1 404 .*"coupon_not_found"/s);
});

test("x-request-id: kept when it is one", async () => {
  const id = `a.B-1:_${"x".repeat(121)}`;
  const good = await world().call("GET /livez", { headers: { "x-request-id": id } });
  assert.equal(good.headers.get("x-request-id"), id);
  const bad = await world().call("GET /coupons/live", { headers: { "x-request-id": id } });
  assert.deepEqual([bad.headers.get("x-request-id"), bad.body.request_id], [id, id]);
  assert.ok(world().logged.some((line) => line.request_id === id));
});

test("x-request-id: made, and in place of what is none", async () => {
  const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
  for (const given of [undefined, "", "x".repeat(129), '"><script>', "a b", "a\tb", "a,b", "ü"]) {
    const headers: Record<string, string> = given === undefined ? {} : { "x-request-id": given };
    const answer = await world().call("GET /nothing", { headers });
    assert.match(answer.headers.get("x-request-id") ?? "", uuid);
    assert.equal(answer.body.request_id, answer.headers.get("x-request-id"));
  }
});

test("draining: not ready, connections are closed, requests are served", async (t) => {
  t.after(() => {
    world().state.draining = false;
  });
  world().state.draining = true;
  const ready = await world().call("GET /readyz");
  assertProblem(ready, 503, { outcome: "draining", detail: "This server is ending." });
  assert.deepEqual([ready.headers.get("retry-after"), ready.headers.get("connection")], ["1", "close"]);
  const live = await world().call("GET /coupons/live", { token: serviceToken });
  assert.deepEqual([live.status, live.headers.get("connection")], [200, "close"]);
});

/** What holds for every request, whatever it asks for. */
import assert from "node:assert/strict";
import type { Server } from "node:http";
import { type AddressInfo, type Socket as Connection, connect as connectTcp } from "node:net";
import { test } from "node:test";
import { createAdaptorServer } from "@hono/node-server";
import { adminToken, assertProblem, serviceToken } from "../../bench/harness/app.ts";
import { invalid, routesWorld } from "../../bench/harness/routes.ts";

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
      detail: "There is nothing at this path for this method.",
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

test("400: a member is named once, and in front of what is wrong with it, whoever found that", async () => {
  const aDay = "must be a day like 2026-11-22";
  assertProblem(
    await world().call("GET /users/1001/coupons?before=0000-01-01T00:00:00Z", { token: adminToken }),
    400,
    {
      outcome: "invalid_request",
      detail: `before: ${aDay}`,
      errors: [{ member: "before", detail: aDay }],
    },
  );
  const coupon = { code: "A", message: "m", description: "d", expiry: "2058-01-01T00:00:00Z", count: 1 };
  const years = "must lie between 1970 and 9999";
  for (const start_time of ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"])
    assertProblem(await asAdmin("POST /coupons", { ...coupon, start_time }), 400, {
      outcome: "invalid_request",
      detail: `start_time: ${years}`,
      errors: [{ member: "start_time", detail: years }],
    });
});

test("400: of thousands of wrong members a hundred are named, and they hold nobody up", async () => {
  // Each compared with each other takes three quarters of a minute, in which nobody is served.
  const users = Array.from({ length: 10_000 }, (_, i) => ({ id: i, name: "", mail: "", city: "", zip: "" }));
  const wrong = users
    .slice(0, 100)
    .flatMap((user, i): [string, string][] => [
      [`users.${i}.user_id`, "is needed"],
      [`users.${i}.display_name`, "is needed"],
      ...Object.keys(user).map((name): [string, string] => [
        `users.${i}.${name}`,
        "is not a member of this request",
      ]),
    ]);
  assertProblem(await asAdmin("POST /users", { users }), 400, invalid(...wrong.slice(0, 100)));
  const query = Array.from({ length: 4_000 }, (_, i) => `x${i}`);
  assertProblem(
    await world().call(`GET /coupons/live?${query.join("&")}`),
    400,
    invalid(
      ...query.slice(0, 100).map((name): [string, string] => [name, "is not a member of this request"]),
    ),
  );
});

test("400: no JSON", async () => {
  for (const body of ["{", "{'a': 1}", " ", '"\n"', "{}x"])
    assertProblem(await asAdmin("POST /coupons/1/pause", body), 400, {
      outcome: "invalid_request",
      detail: "The body is not valid JSON.",
    });
});

test("400: a member twice, of which a gateway in front may have read the other one", async () => {
  const [user_id, coupon_id] = [await world().newUser(), await world().newCoupon()];
  await world().issue(coupon_id, user_id);
  for (const [route, body] of [
    ["POST /users", `{"users":[{"user_id":${user_id},"display_name":"A","display_name":"B"}]}`],
    [`POST /coupons/${coupon_id}/use`, `{"user_id":1,"user_id":${user_id},"reference":"r"}`],
    [`POST /coupons/${coupon_id}/issue`, `{"user_id":${user_id},"user_id":${user_id}}`],
    [`POST /coupons/${coupon_id}/edit`, '{"metadata":{"a":{"b":1,"\\u0062":2}}}'],
  ] as const)
    assertProblem(await asAdmin(route, body), 400, {
      outcome: "invalid_request",
      detail: "An object in the body has a member twice.",
    });
  assert.equal((await asAdmin(`POST /coupons/${coupon_id}/use`, { user_id, reference: '":":' })).status, 200);
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
async function overTheWire(...chunks: (string | Buffer)[]): Promise<string> {
  const server = createAdaptorServer({ fetch: world().app.fetch }) as Server;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const connection: Connection = connectTcp((server.address() as AddressInfo).port, "127.0.0.1");
  for (const chunk of chunks) connection.write(chunk);
  try {
    let answer = "";
    for await (const data of connection) {
      answer += data;
      if (answer.endsWith("}") || answer.endsWith("\r\n0\r\n\r\n")) break; // not when Node ends an idle connection
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

const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

test("a chunked body is one without an announced length: the same checks, the same limit", async () => {
  const chunked = (...parts: string[]) =>
    overTheWire(head("Transfer-Encoding: chunked"), ...parts.map(chunk), "0\r\n\r\n");
  assert.match(await chunked('{"reas', 'on":"ä"}'), /^HTTP\/1.1 404 .*"coupon_not_found"/s);
  assert.match(await chunked(), /^HTTP\/1.1 404 .*"coupon_not_found"/s);
  assert.match(await chunked('{"a":1}'), /^HTTP\/1.1 400 .*a: is not a member of this request/s);
  const padded = (bytes: number) => chunked(`{}${" ".repeat(4998)}`, " ".repeat(bytes - 5000));
  assert.match(await padded(16_384), /^HTTP\/1.1 404 /);
  assert.match(await padded(16_385), /^HTTP\/1.1 413 .*The body must have at most 16384 bytes/s);
  assert.match(await padded(500_000), /^HTTP\/1.1 413 .*The body must have at most 16384 bytes/s);
});

const bytesOf = (text: string, encoding: BufferEncoding = "latin1") => Buffer.from(text, encoding);
/** A request with this body, whose head says these things of it. */
function sent(target: string, body: Buffer, ...headers: string[]): Promise<string> {
  const type = headers.some((line) => /^content-type/i.test(line)) ? [] : ["Content-Type: application/json"];
  const lines = [
    "Host: x",
    `Authorization: Bearer ${adminToken}`,
    `Content-Length: ${body.length}`,
    ...type,
    ...headers,
  ];
  return overTheWire(bytesOf(`POST ${target} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`), body);
}

test("a body that is not UTF-8 is refused: two orders must not become one reference", async () => {
  const [user_id, coupon_id] = [await world().newUser(), await world().newCoupon()];
  await world().issue(coupon_id, user_id);
  const use = (body: Buffer, ...headers: string[]) => sent(`/coupons/${coupon_id}/use`, body, ...headers);
  const body = (reference: string) => `{"user_id":${user_id},"reference":"${reference}"}`;
  for (const reference of ["Bär-17", "Bör-17"])
    assert.match(await use(bytesOf(body(reference))), /^HTTP\/1.1 400 .*"The body is not UTF-8."/s);
  for (const half of ["\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80"])
    assert.match(await use(bytesOf(body(half))), /^HTTP\/1.1 400 .*"The body is not UTF-8."/s);
  assert.match(await use(bytesOf(body("Bär-17"), "utf16le")), /^HTTP\/1.1 400 /);
  assert.match(await use(bytesOf(`\ufeff${body("Bär-17")}`, "utf8")), /^HTTP\/1.1 200 .*"used".*"Bär-17"/s);
});

test("415: another charset, a compressed body", async () => {
  const target = "/coupons/999999/pause";
  const body = bytesOf("{}");
  for (const [header, detail] of [
    ["Content-Type: application/json; charset=iso-8859-1", "The charset of the body must be utf-8."],
    ['Content-Type: application/json;x=y; Charset="UTF-16"', "The charset of the body must be utf-8."],
    ["Content-Encoding: gzip", "The body must not be compressed or encoded otherwise."],
    ["Content-Encoding: identity, br", "The body must not be compressed or encoded otherwise."],
  ] as const) {
    const answer = await sent(target, body, header);
    assert.match(answer, /^HTTP\/1.1 415 /);
    assert.ok(answer.includes(detail), answer);
  }
  for (const header of [
    "Content-Type: application/json;charset=UTF-8",
    'Content-Type: application/json; charset="utf8"',
    "Content-Type: application/json; profile=x",
    "Content-Encoding: identity",
  ])
    assert.match(await sent(target, body, header), /^HTTP\/1.1 404 .*"coupon_not_found"/s);
});

test("lines: the same media, and a byte order mark before the first", async () => {
  const import_ = (body: Buffer, ...headers: string[]) => sent("/users/import", body, ...headers);
  const type = "Content-Type: application/x-ndjson";
  const line = '{"user_id":7001,"display_name":"Bär"}\n';
  for (const headers of [[`${type}; charset=latin1`], [type, "Content-Encoding: gzip"]])
    assert.match(await import_(bytesOf(line), ...headers), /^HTTP\/1.1 415 /);
  const marked = await import_(bytesOf(`\ufeff${line}\ufeff${line}`, "utf8"), type);
  assert.match(marked, /"line":1,"outcome":"created","user_id":7001/);
  assert.match(marked, /"line":2,"outcome":"invalid"/);
  assert.match(await import_(bytesOf(line), type), /"outcome":"invalid","detail":"the line: must be UTF-8"/);
});

test("a query is percent-encoded UTF-8, and nothing else becomes another text", async () => {
  const reason = (query: string) =>
    sent(`/users/import${query}`, bytesOf(""), "Content-Type: application/x-ndjson");
  for (const query of ["?reason=B%E4r", "?reason=%", "?reason=%zz", "?reason=%ED%A0%80"])
    assert.match(await reason(query), /^HTTP\/1.1 400 .*"reason: must be percent-encoded UTF-8"/s);
  for (const query of ["?reason=Bär", bytesOf("?reason=Bär", "utf8").toString("latin1")])
    assert.match(await reason(query), /^HTTP\/1.1 400 /, "by Node, to which bytes are no target");
  assert.match(await reason("?%E4=1"), /^HTTP\/1.1 400 .*"%E4: is not a member of this request"/s);
  assert.match(await reason("?reason=B%C3%A4r+x"), /^HTTP\/1.1 200 /);
  assert.match(await sent("/coupons/%E4/pause", bytesOf("{}")), /^HTTP\/1.1 400 .*coupon_id: must be/s);
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
  const bad = await world().call("GET /coupons", { headers: { "x-request-id": id } });
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

test("the log has a part of a path that is too long to be one: a line of it must not mix with another process's", async () => {
  const logged = world().logged.length;
  assert.equal((await world().call(`GET /${"%0a".repeat(5_000)}`)).status, 404);
  const [{ path }] = world().logged.slice(logged);
  assert.equal(path, `/${"%0a".repeat(333)}`);
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

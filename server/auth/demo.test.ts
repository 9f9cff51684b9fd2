import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { env, openApp } from "../../bench/harness/app.ts";
import { createClock } from "../../bench/harness/clock.ts";
import { createDemo } from "./demo.ts";

const KEY = "key-of-the-demo_0123456789.~ABCDEF";
const who = { role: "user", subject: "42" } as const;
/** These never ask the database. */
const NOWHERE = "postgres://nobody@127.0.0.1:1/nothing";

const gives = (given: Partial<typeof env>, authorization?: string) =>
  createDemo({ ...env, ...given })(authorization)?.(who) !== undefined;

for (const [what, authorization, isGiven] of [
  ["the key", `Bearer ${KEY}`, true],
  ["the key, and bearer in lower case", `bearer ${KEY}`, true],
  ["no key", undefined, false],
  ["an empty key", "Bearer ", false],
  ["another key", `Bearer ${KEY.slice(1)}x`, false],
  ["the key's beginning", `Bearer ${KEY.slice(0, -1)}`, false],
  ["more than the key", `Bearer ${KEY}x`, false],
  ["the key without bearer", KEY, false],
  ["the key as another scheme", `Basic ${KEY}`, false],
] as const)
  test(`DEMO_KEY: ${what}`, () => assert.equal(gives({ DEMO_KEY: KEY }, authorization), isGiven));

test("by default nobody, off: nobody, on: anybody, and without a secret nobody", () => {
  for (const authorization of [undefined, "Bearer ", "Bearer undefined", `Bearer ${KEY}`])
    assert.equal(gives({}, authorization), false);
  assert.equal(gives({ DEMO: "off", DEMO_KEY: KEY }, `Bearer ${KEY}`), false);
  assert.equal(gives({ DEMO: "on" }), true);
  assert.equal(gives({ DEMO: "on", DEMO_KEY: KEY }), true);
  assert.equal(gives({ DEMO: "on", DEMO_KEY: KEY, JWT_SECRET: undefined }, `Bearer ${KEY}`), false);
});

test("the route hands out tokens that are right, and is not there without the key", async (t) => {
  const { call, authenticate, close } = await openApp(NOWHERE, { env: { DEMO_KEY: KEY } });
  t.after(close);
  const ask = (body: unknown, token = KEY) => call("POST /demo/token", { token, body });
  const user = await ask({ role: "user", user_id: 42 });
  assert.deepEqual(await authenticate(user.body.token), { role: "user", user_id: 42, subject: "42" });
  const admin = await ask({ role: "admin" });
  assert.deepEqual(await authenticate(admin.body.token), { role: "admin", subject: "demo" });
  assert.equal((await ask({ role: "user" })).status, 400);
  assert.equal((await ask({ role: "service" })).status, 400);
  const elsewhere = await call("POST /nowhere");
  for (const body of [{ role: "admin" }, {}, "no JSON"])
    for (const token of ["", "x", KEY.toLowerCase()]) {
      const { status, body: said } = await ask(body, token);
      assert.deepEqual([status, { ...said, request_id: "" }], [404, { ...elsewhere.body, request_id: "" }]);
    }
});

test("its token is valid for a day of the service's clock", async (t) => {
  const clock = createClock(Date.UTC(2031, 0, 2));
  const { call, authenticate, close } = await openApp(NOWHERE, { env: { DEMO: "on" }, clock });
  t.after(close);
  const { token } = (await call("POST /demo/token", { body: { role: "admin" } })).body;
  await clock.pass(86_399_999);
  assert.deepEqual(await authenticate(token), { role: "admin", subject: "demo" });
  await clock.pass(1);
  assert.equal(await authenticate(token), null);
});

// ---- Behind a proxy on the same machine -------------------------------------------------------------------------------

/** A proxy as nginx is with `proxy_pass` and nothing else, or as HAProxy, which leaves the Host header as it is. */
async function openProxy(t: TestContext, port: number, keepsHost: boolean): Promise<string> {
  const proxy = createServer((given, response) => {
    const headers = { ...given.headers, ...(keepsHost ? {} : { host: `127.0.0.1:${port}` }) };
    const { method, url: path } = given;
    const sent = request({ host: "127.0.0.1", port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    given.pipe(sent);
  }).listen(0, "127.0.0.1");
  t.after(() => {
    proxy.close();
    proxy.closeAllConnections();
  });
  await once(proxy, "listening");
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

const BODY = '{"role":"admin"}';

/** The status of an answer to a stranger, who chooses the headers; fetch() would not let it choose the Host. */
async function statusOf(url: string, method: string, headers: Record<string, string>) {
  const body = method === "POST" ? BODY : "";
  const json = { "content-type": "application/json", "content-length": `${body.length}` };
  const sent = request(url, { method, headers: { ...json, ...headers }, agent: false }).end(body);
  const [answer] = await once(sent, "response");
  await answer.toArray();
  return answer.statusCode;
}

for (const keepsHost of [false, true])
  test(`no stranger gets a token or metrics through a proxy that ${keepsHost ? "keeps" : "replaces"} Host`, async (t) => {
    const { server, close } = await openApp(NOWHERE, { env: { DEMO_KEY: KEY } });
    t.after(close);
    server.listen(0, "127.0.0.1");
    t.after(() => server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const proxy = await openProxy(t, port, keepsHost);
    for (const base of [proxy, `http://127.0.0.1:${port}`]) {
      for (const headers of [
        { host: "shop.example" },
        { host: "localhost" },
        { host: `127.0.0.1:${port}` },
        { host: `localhost:${port}`, origin: `http://localhost:${port}` },
        { host: "evil.example", origin: "http://evil.example" },
        { host: "localhost", "x-forwarded-for": "127.0.0.1" },
      ]) {
        assert.equal(await statusOf(`${base}/demo/token`, "POST", headers), 404);
        assert.equal(await statusOf(`${base}/metrics`, "GET", headers), 401);
      }
      const withKey = { host: "shop.example", authorization: `Bearer ${KEY}` };
      assert.equal(await statusOf(`${base}/demo/token`, "POST", withKey), 200);
    }
  });

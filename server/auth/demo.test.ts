import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { env, openApp } from "../../bench/harness/app.ts";
import { createDemo } from "./demo.ts";

const who = { role: "user", subject: "42" } as const;
const secret = { ...env, JWT_SECRET: env.JWT_SECRET };

function ask(headers: Record<string, string>, remoteAddress = "127.0.0.1") {
  const given = { rawHeaders: Object.entries(headers).flat(), socket: { remoteAddress } };
  return given as unknown as Parameters<ReturnType<typeof createDemo>>[0];
}

const demo = createDemo({ ...secret, DEMO: "loopback" });
for (const [what, incoming, isGiven] of [
  ["curl on this machine", ask({ host: "localhost:3000" }), true],
  ["by IPv4", ask({ host: "127.0.0.1:3000" }, "::ffff:127.0.0.1"), true],
  ["by IPv6", ask({ host: "[::1]:3000" }, "::1"), true],
  ["our own page", ask({ host: "localhost:3000", origin: "http://localhost:3000" }), true],
  ["another machine", ask({ host: "localhost:3000" }, "192.0.2.7"), false],
  ["through a proxy", ask({ host: "localhost:3000", "X-Forwarded-For": "127.0.0.1" }), false],
  ["another site's page", ask({ host: "localhost:3000", origin: "https://evil.example" }), false],
  ["a page on another port", ask({ host: "localhost:3000", origin: "http://localhost:4000" }), false],
  ["a page that is no site's", ask({ host: "localhost:3000", origin: "null" }), false],
  ["a site whose name was pointed at us", ask({ host: "evil.example:3000" }), false],
  ["a name that begins like ours", ask({ host: "localhost.evil.example" }), false],
  ["without a name", ask({}), false],
  ["without a connection", undefined, false],
] as const)
  test(`loopback: ${what}`, () => assert.equal(demo(incoming)?.(who) !== undefined, isGiven));

test("off: nobody, on: anybody, and without a secret nobody", () => {
  const near = ask({ host: "localhost:3000" });
  const far = ask({ host: "shop.example", "x-forwarded-for": "1.2.3.4" }, "192.0.2.7");
  assert.equal(createDemo(secret)(near), undefined);
  assert.equal(createDemo({ ...secret, DEMO: "off" })(near), undefined);
  assert.ok(createDemo({ ...secret, DEMO: "on" })(far)?.(who));
  assert.equal(createDemo({ ...env, JWT_SECRET: undefined, DEMO: "on" })(near), undefined);
});

/** These never ask the database. */
const NOWHERE = "postgres://nobody@127.0.0.1:1/nothing";

test("the route hands out tokens that are right, and is not there where there is no demo", async (t) => {
  const world = await openApp(NOWHERE);
  t.after(world.close);
  const { server, authenticate, close } = await openApp(NOWHERE, { demoToken: demo });
  t.after(close);
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  const post = async (body: object, headers = {}) => {
    const answer = await fetch(`http://127.0.0.1:${port}/demo/token`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    return { status: answer.status, body: (await answer.json()) as Record<string, string> };
  };
  const user = await post({ role: "user", user_id: 42 });
  assert.deepEqual(await authenticate(user.body["token"] ?? ""), {
    role: "user",
    user_id: 42,
    subject: "42",
  });
  const admin = await post({ role: "admin" });
  assert.deepEqual(await authenticate(admin.body["token"] ?? ""), { role: "admin", subject: "demo" });
  assert.equal((await post({ role: "user" })).status, 400);
  assert.equal((await post({ role: "service" })).status, 400);
  assert.equal((await post({ role: "admin" }, { origin: "https://evil.example" })).status, 404);
  for (const body of [{ role: "admin" }, {}, "no JSON"])
    assert.equal((await world.call("POST /demo/token", { body })).status, 404);
});

import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { openWorld, serviceToken, userToken } from "../../bench/harness/app.ts";
import { assertDocumented } from "../../bench/harness/documented.ts";
import { systemClock } from "../clock.ts";
import { createRateLimit, rateLimitHeader } from "./rate-limit.ts";

/** With a clock that the test sets, ms. */
function limited(limit: number) {
  const clock = { ms: 1_000_000, now: () => clock.ms };
  const { take } = createRateLimit(limit, clock);
  return { clock, take };
}

test("all at once, then one each time that one has come back", () => {
  const { clock, take } = limited(20);
  for (let i = 19; i >= 0; i--)
    assert.deepEqual(take(42), { allowed: true, remaining: i, resetIn: i === 0 ? 0.5 : 0 });
  assert.deepEqual(take(42), { allowed: false, remaining: 0, resetIn: 0.5 });
  clock.ms += 499;
  assert.deepEqual(take(42).allowed, false);
  clock.ms += 1;
  assert.deepEqual(take(42), { allowed: true, remaining: 0, resetIn: 0.5 });
  assert.equal(take(42).allowed, false);
});

test("who is refused loses nothing by it, and an hour brings no more than the limit", () => {
  const { clock, take } = limited(5);
  for (let i = 0; i < 1_000; i++) take(7);
  clock.ms += 2_000;
  assert.equal(take(7).allowed, true);
  clock.ms += 3_600_000;
  assert.equal(take(7).remaining, 4);
});

test("what has happened is counted beyond the limit, and waited for", () => {
  const clock = { ms: 0, now: () => clock.ms };
  const { take, look, charge } = createRateLimit(10, clock);
  for (let i = 0; i < 15; i++) charge(7);
  for (const answer of [look(7), take(7)])
    assert.deepEqual(answer, { allowed: false, remaining: 0, resetIn: 6 });
  clock.ms += 6_000;
  assert.deepEqual(look(7), { allowed: true, remaining: 1, resetIn: 0 });
});

test("users don't share", () => {
  const { take } = limited(1);
  const users = [1, 2, 3, 65_536, 4_294_967_296, 4_294_967_297, Number.MAX_SAFE_INTEGER];
  for (const user of users) assert.equal(take(user).allowed, true, `${user}`);
  for (const user of users) assert.equal(take(user).allowed, false, `${user}`);
});

test("whoever sends much stays known among a million others, and the table doesn't grow", () => {
  const { clock, take } = limited(100);
  for (let i = 0; i < 100; i++) take(5);
  assert.equal(take(5).allowed, false);
  const before = process.memoryUsage().arrayBuffers;
  for (let user = 10; user < 1_000_010; user++) {
    take(user);
    if (user % 10_000 === 0) assert.equal(take(5).allowed, false, `after ${user}`);
  }
  assert.ok(process.memoryUsage().arrayBuffers <= before);
  clock.ms += 100;
  assert.equal(take(5).allowed, true);
});

test("a process that has just started has room for all: nobody is forgotten for another, and gets the limit anew", () => {
  const { take } = createRateLimit(100, { now: () => 10 });
  // So many that some share a set.
  const users = Array.from({ length: 1_000 }, (_, i) => (i + 1) ** 3);
  for (let i = 99; i >= 0; i--) for (const user of users) assert.equal(take(user).remaining, i, `${user}`);
});

test("0: no limit, and nothing is told", () => {
  const { take } = limited(0);
  for (let i = 0; i < 10_000; i++) assert.equal(take(1).allowed, true);
  assert.equal(rateLimitHeader(take(1)), undefined);
});

test("over HTTP: by the routes and before them, for a user on all of them together, not for services", async (t) => {
  const world = await openWorld({ env: { RATE_LIMIT: 4 }, clock: { ...systemClock, now: () => 0 } });
  t.after(world.close);
  const server = world.server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  const coupon = await world.newCoupon();
  const user = await world.newUser();
  const ask = async (method: string, path: string, token: string, body?: string) => {
    const headers = {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers, body: body ?? null });
    const given = { status: answer.status, headers: answer.headers, body: await answer.json() };
    assertDocumented(method, path, given);
    return { ...given, rate: answer.headers.get("ratelimit") };
  };
  const issue = `/coupons/${coupon}/issue`;
  const token = userToken(user);
  const answers = [
    await ask("POST", issue, token),
    await ask("POST", issue, token, "{ }"),
    await ask("GET", "/coupons/live", token),
    await ask("GET", "/coupons/0", token),
  ];
  assert.deepEqual(
    answers.map(({ status, rate }) => [status, rate]),
    [
      [201, '"user";r=3;t=0'],
      [200, '"user";r=2;t=0'],
      [200, '"user";r=1;t=0'],
      [400, '"user";r=0;t=3'],
    ],
  );
  for (const body of [undefined, "{ }"]) {
    const { status, headers, body: said } = await ask("POST", issue, token, body);
    assert.deepEqual([status, (said as { outcome: string }).outcome], [429, "rate_limited"]);
    assert.equal(headers.get("retry-after"), "3");
    assert.equal(headers.get("ratelimit"), '"user";r=0;t=3');
  }
  assert.equal((await ask("POST", issue, userToken(await world.newUser()))).status, 201);
  for (let i = 0; i < 10; i++) {
    const { status, rate } = await ask("GET", "/coupons/live", serviceToken);
    assert.deepEqual([status, rate], [200, null]);
  }
});

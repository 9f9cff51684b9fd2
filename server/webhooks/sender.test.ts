/** The process that sends: what arrives, in which order, from whom, and what it costs others. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { adminToken, openApp, openWorld } from "../../bench/harness/app.ts";
import { openReceiver, type Received } from "../../bench/harness/receiver.ts";
import { until } from "../../bench/harness/waiting.ts";
import type { Sender } from "./sender.ts";

const options = { env: { WEBHOOKS_ALLOW_PRIVATE: "on" } } as const;

async function sending(t: TestContext) {
  const receiver = await openReceiver();
  const world = await openWorld(options);
  t.after(async () => {
    await world.webhooks.end();
    await world.close();
    await receiver.close();
    assert.deepEqual(world.failures(), []);
  });
  const { admin, owner } = world.scratch;
  const [row] = await admin`select secret from set_webhook('crm', ${receiver.url})`;
  receiver.verifyWith(row?.["secret"]);
  return {
    receiver,
    world,
    admin,
    owner,
    now: () => owner`
    update coupon.webhook_deliveries set next_attempt_at = clock_timestamp() where next_attempt_at is not null`,
  };
}

/** Waits until so many were taken: the answer is on its way to the sender when the receiver has the event. */
async function counted({ figures }: Sender, count: number): Promise<void> {
  await until(() => figures.sent.taken >= count, `${count} are taken`);
  assert.equal(figures.sent.taken, count);
}

const typesOf = (events: readonly Received[], coupon: number) =>
  events.filter(({ coupon_id }) => coupon_id === coupon).map(({ type, body }) => [type, body.data.position]);

test("each event arrives once, signed, as GET /events tells it", async (t) => {
  const { receiver, world, admin } = await sending(t);
  world.webhooks.start();
  const [coupon, user] = [await world.newCoupon({ count: 1 }), await world.newUser()];
  await world.issue(coupon, user);
  await admin`select from use_coupon(${user}, ${coupon}, 'order-1')`;
  await receiver.until(() => receiver.received.length === 4);
  const { body } = await world.call("GET /events", {
    token: adminToken,
  });
  assert.deepEqual(
    receiver.received.map((event) => event.body),
    body.events,
  );
  assert.deepEqual(
    receiver.received.map(({ id }) => id),
    body.events.map(({ id }: { id: string }) => id),
  );
  assert.deepEqual(receiver.invalid, []);
  await counted(world.webhooks, 4);
  assert.deepEqual(world.webhooks.figures.sent, { taken: 4, refused: 0, unanswered: 0 });
});

test("after a rotation who knows only the old secret verifies, and so does who knows the new one", async (t) => {
  const { receiver, world, admin } = await sending(t);
  const [row] = await admin`select secret from rotate_webhook_secret('crm')`;
  world.webhooks.start();
  await world.newCoupon();
  await receiver.until(() => receiver.received.length === 1);
  receiver.verifyWith(row?.["secret"]);
  await world.newCoupon();
  await receiver.until(() => receiver.received.length === 2);
  assert.deepEqual(receiver.invalid, []);
});

test("an event that fails holds up its coupon, and no other one", async (t) => {
  const { receiver, world, now } = await sending(t);
  const [lunch, dinner] = [await world.newCoupon({ count: 5 }), await world.newCoupon({ count: 5 })];
  let fails = true;
  receiver.respondWith(({ coupon_id, body }, response) =>
    response.writeHead(fails && coupon_id === lunch && body.data.position === 2 ? 500 : 204).end(),
  );
  for (let i = 0; i < 3; i++) {
    await world.issue(lunch, await world.newUser());
    await world.issue(dinner, await world.newUser());
  }
  world.webhooks.start();
  const issued = (count: number) => [
    ["coupon.created", null],
    ...Array.from({ length: count }, (_, i) => ["coupon.issued", i + 1]),
  ];
  await receiver.until(
    () => typesOf(receiver.received, dinner).length === 4 && typesOf(receiver.received, lunch).length === 3,
  );
  assert.deepEqual(typesOf(receiver.received, dinner), issued(3));
  assert.deepEqual(typesOf(receiver.received, lunch), issued(2));
  fails = false;
  await until(async () => {
    await now();
    return typesOf(receiver.received, lunch).length >= 5;
  }, "the coupon goes on");
  const after = typesOf(receiver.received, lunch);
  // The one that failed came again, with the same id; then the next one.
  assert.deepEqual(after.slice(-2), [
    ["coupon.issued", 2],
    ["coupon.issued", 3],
  ]);
  const ids = receiver.received.filter(
    ({ body, coupon_id }) => coupon_id === lunch && body.data.position === 2,
  );
  assert.equal(new Set(ids.map(({ id }) => id)).size, 1);
});

test("who asked to wait for a day is sent what an operator wants sent at once", async (t) => {
  const { receiver, world, admin } = await sending(t);
  receiver.respondWith((_, response) => void response.writeHead(429, { "retry-after": "86400" }).end());
  world.webhooks.start();
  const coupon = await world.newCoupon();
  await until(
    async () => (await admin`select from list_webhook_deliveries('crm') where attempts = 1`).count === 1,
    "it waits",
  );
  receiver.respondWith((_, response) => void response.writeHead(204).end());
  await admin`select from resend_webhook('crm')`;
  await receiver.until(() => receiver.received.length === 2);
  await admin`select from pause_coupon(${coupon})`;
  await receiver.until(() => receiver.received.length === 3);
  assert.deepEqual(
    receiver.received.map(({ type }) => type),
    ["coupon.created", "coupon.created", "coupon.paused"],
  );
});

test("a webhook that is disabled is counted, also where it is the only one", async (t) => {
  const { receiver, world } = await sending(t);
  receiver.respondWith((_, response) => void response.writeHead(410).end());
  world.webhooks.start();
  await world.newCoupon();
  await receiver.until(() => receiver.received.length === 1);
  await until(() => world.webhooks.figures.state?.disabled === 1, "it is counted");
});

test("one of two servers sends; when it ends, the other one goes on at once", async (t) => {
  const { receiver, world } = await sending(t);
  const other = await openApp(world.scratch.apiUrl, options);
  t.after(async () => {
    await other.webhooks.end();
    await other.close();
  });
  world.webhooks.start();
  await world.newCoupon();
  await receiver.until(() => receiver.received.length === 1);
  other.webhooks.start();
  await world.newCoupon();
  await receiver.until(() => receiver.received.length === 2);
  await counted(world.webhooks, 2);
  assert.equal(other.webhooks.figures.sent.taken, 0);
  await world.webhooks.end();
  await world.newCoupon();
  await receiver.until(() => receiver.received.length === 3);
  await counted(other.webhooks, 1);
  assert.equal(new Set(receiver.received.map(({ id }) => id)).size, 3);
});

test("a webhook that hangs delays no other one, and holds no connection to the database", async (t) => {
  const { receiver, world, admin } = await sending(t);
  const hanging = await openReceiver(() => {});
  t.after(hanging.close);
  await admin`select from set_webhook('hanging', ${hanging.url})`;
  world.webhooks.start();
  const coupon = await world.newCoupon({ count: 20 });
  await hanging.until(() => hanging.received.length === 1);
  assert.deepEqual([world.db.pools.webhook.waiting], [0]);
  for (let i = 0; i < 20; i++) assert.equal((await world.issue(coupon, await world.newUser())).status, 201);
  await receiver.until(() => receiver.received.length === 22);
  assert.equal(hanging.received.length, 1, "its coupon waits behind the one that hangs");
  const running = Object.values(world.db.pools).map(({ waiting }) => waiting);
  assert.deepEqual([...new Set(running)], [0]);
});

for (const [how, ends] of [
  ["disabled", "disable_webhook"],
  ["removed", "remove_webhook"],
] as const)
  test(`what is under way to a webhook that is ${how} is broken off, and nothing more is sent`, async (t) => {
    const { receiver, world, admin } = await sending(t);
    let isBrokenOff = false;
    receiver.respondWith(
      (_, response) =>
        void response.on("close", () => {
          isBrokenOff = true;
        }),
    );
    const other = await openReceiver();
    t.after(other.close);
    await admin`select from set_webhook('other', ${other.url})`;
    world.webhooks.start();
    await world.newCoupon();
    await receiver.until(() => receiver.received.length === 1);
    await admin.unsafe(`select from ${ends}('crm')`);
    // Before 15 seconds are over: else it would have had no answer.
    await until(() => isBrokenOff, "it is broken off");
    assert.equal(world.webhooks.figures.sent.unanswered, 0);
    const coupon = await world.newCoupon();
    await other.until(() => other.received.some(({ coupon_id }) => coupon_id === coupon));
    assert.equal(receiver.received.length, 1);
    await world.webhooks.end();
    assert.equal(world.webhooks.figures.sent.unanswered, 0);
  });

test("one that takes nothing for days is disabled, and the others are told", async (t) => {
  const { receiver, world, admin, owner, now } = await sending(t);
  const down = await openReceiver((_, response) => void response.writeHead(503).end());
  t.after(down.close);
  await admin`select from set_webhook('down', ${down.url})`;
  world.webhooks.start();
  const coupon = await world.newCoupon();
  await until(
    async () => (await owner`select from coupon.webhooks where failing_since is not null`).count === 1,
    "it has failed",
  );
  await owner`update coupon.webhooks set failing_since = clock_timestamp() - interval '5 days 1 minute' where webhook_name = 'down'`;
  await now();
  await receiver.until(() => receiver.received.some(({ type }) => type === "webhook.disabled"));
  const told = receiver.received.find(({ type }) => type === "webhook.disabled")?.body;
  assert.deepEqual(
    [told.subject, told.data.coupon_id, told.data.new_values],
    ["webhooks/down", null, { webhook_name: "down", disabled_reason: "it has taken nothing for 5 days" }],
  );
  const count = down.received.length;
  await admin`select from pause_coupon(${coupon})`;
  await receiver.until(() => receiver.received.some(({ type }) => type === "coupon.paused"));
  assert.equal(down.received.length, count);
});

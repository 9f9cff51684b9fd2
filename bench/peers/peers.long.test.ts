/** The peers keep the same promises as we do: a comparison with one that doesn't would be worth nothing. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { newDatabase, newSecret } from "../harness/service.ts";
import { addUsers, createCoupon } from "../harness/tables.ts";
import { issueShot, userToken } from "../harness/tokens.ts";
import { redisVersion, startRedis } from "./redis.ts";
import { answerOf, type Peer, type PeerOptions, startPeer } from "./start.ts";
import { copyCoupon, createTextbook, textbookGrants } from "./textbook.ts";

const secret = newSecret();

async function start(t: TestContext, peer: Peer, options: Omit<PeerOptions, "secret">) {
  const process = await startPeer(peer, { secret, ...options });
  t.after(process.stop);
  return async (userId: number, couponId: number, token = userToken(secret, userId)) => {
    const { status, body } = await answerOf(process.url, issueShot(token, couponId));
    return [status, (body as { outcome: string }).outcome, (body as { position?: number }).position];
  };
}

async function database(t: TestContext) {
  const made = await newDatabase();
  t.after(made.drop);
  await addUsers(made, 1, 5);
  return made;
}

test("for update: one a user and day, never more than count, positions in order", async (t) => {
  const scratch = await database(t);
  await createTextbook(scratch);
  const coupon = await createCoupon(scratch.admin, "c", 0, 2);
  await copyCoupon(scratch.owner, coupon);
  const ask = await start(t, "for-update", { databaseUrl: scratch.setupUrl, pool: 2 });
  assert.deepEqual(await ask(1, coupon), [201, "issued", 1]);
  assert.deepEqual(await ask(1, coupon), [409, "daily_limit_reached", null]);
  assert.deepEqual(await ask(2, coupon), [201, "issued", 2]);
  assert.deepEqual(await ask(3, coupon), [409, "sold_out", null]);
  assert.deepEqual(await textbookGrants(scratch.owner, coupon), {
    rows: 2,
    "last position": 2,
    "coupons.issued": 2,
  });
});

test("for update: the tables have our indexes, checks and foreign keys, and those for what our guard checks", async (t) => {
  const scratch = await database(t);
  await createTextbook(scratch);
  const constraints = (schema: string) => scratch.owner`
    select conrelid::regclass::text as on_table, contype, pg_get_constraintdef(oid) as definition
    from pg_constraint
    where conrelid in (${`${schema}.coupons`}::regclass, ${`${schema}.user_coupons`}::regclass) and contype <> 't'
    order by 1, 2, 3
  `;
  const indexes = (schema: string) => scratch.owner`
    select count(*)::integer as n from pg_index
    where indrelid in (${`${schema}.coupons`}::regclass, ${`${schema}.user_coupons`}::regclass)
  `;
  const asOurs = (await constraints("textbook")).map((row) =>
    JSON.parse(JSON.stringify(row).replaceAll("textbook.", "coupon.")),
  );
  const guarded = [
    "FOREIGN KEY (coupon_id) REFERENCES coupon.coupons(id)",
    "FOREIGN KEY (user_id) REFERENCES coupon.users(id)",
  ];
  assert.deepEqual(
    asOurs.filter(({ definition }) => !guarded.includes(definition)),
    [...(await constraints("coupon"))],
  );
  assert.deepEqual(
    asOurs.map(({ definition }) => definition).filter((definition) => guarded.includes(definition)),
    guarded,
  );
  assert.deepEqual([...(await indexes("textbook"))], [...(await indexes("coupon"))]);
});

test("issue_coupon() per request: our own answers", async (t) => {
  const scratch = await database(t);
  const coupon = await createCoupon(scratch.admin, "c", 0, 1);
  const ask = await start(t, "issue-coupon", { databaseUrl: scratch.apiUrl, pool: 2 });
  assert.deepEqual(await ask(1, coupon), [201, "issued", 1]);
  assert.deepEqual(await ask(2, coupon), [409, "sold_out", null]);
});

test("Redis: one a user and day, never more than count, every grant recorded", {
  skip: redisVersion() === null && "needs redis-server (Debian package redis-server)",
}, async (t) => {
  const redis = await startRedis("always");
  t.after(redis.stop);
  await redis.reset(7, 2);
  const ask = await start(t, "redis", { redisUrl: redis.url, pool: 2 });
  assert.deepEqual(await ask(1, 7), [201, "issued", 1]);
  assert.deepEqual(await ask(1, 7), [409, "daily_limit_reached", null]);
  assert.deepEqual(await ask(2, 7), [201, "issued", 2]);
  assert.deepEqual(await ask(3, 7), [409, "sold_out", null]);
  assert.deepEqual(await redis.holdings(7), { holders: 2, users: 2, left: 0 });
});

test("hello: the answer as it was given; with the token check only to a valid token", async (t) => {
  const answer = {
    status: 409,
    type: "application/problem+json",
    body: { outcome: "sold_out", position: 1 },
  };
  const open = await start(t, "hello", { answer });
  const checked = await start(t, "hello-token", { answer });
  assert.deepEqual(await open(1, 1, "nonsense"), [409, "sold_out", 1]);
  assert.deepEqual(await checked(1, 1), [409, "sold_out", 1]);
  assert.deepEqual(await checked(1, 1, "nonsense"), [401, "unauthenticated", undefined]);
});

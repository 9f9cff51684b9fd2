/** What all layers begin with, and what must be right when all was done. */
import assert from "node:assert/strict";
import { env, openWorld, type World } from "../harness/app.ts";
import { until } from "../harness/waiting.ts";
import { CLAIM_KEY, COUPONS, ENDED, HELD, OLD, USERS, WEBHOOKS, WITHDRAWN } from "./values.ts";

/**
 * Users, and coupons of all kinds: live, sold out, used, upcoming, early for a group, ended, paused, over for long, withdrawn. All
 * webhooks that there may be, but two.
 */
export async function furnish({ scratch: { admin, owner } }: Pick<World, "scratch">): Promise<void> {
  await admin`
    select from import_users(
      array(select generate_series(1, ${USERS}::integer)), array(select 'Canary ' || generate_series(1, ${USERS}::integer)))`;
  await admin`
    select create_coupon(
      'C' || n, 'message ' || n, '', clock_timestamp() - (n - 4) * interval '1 day' + interval '5 minutes',
      clock_timestamp() + interval '20 days', 1 + n % 5)
    from generate_series(1, ${COUPONS}::integer) n`;
  await admin`
    select pause_coupon(5), set_coupon_count(${HELD}, ${USERS}::integer),
      issue_coupons(${HELD}, array(select generate_series(1, ${USERS / 2}::integer))), use_coupon(1, ${HELD}, 'order-1')`;
  await admin`select add_to_group('vip', array(select generate_series(1, ${USERS / 2}::integer)))`;
  await owner`
    update coupon.coupons set eligible_group = 'vip', eligible_from = clock_timestamp() - interval '1 hour' where id = 2`;
  await owner`update coupon.coupons set expiry = clock_timestamp() + interval '1 hour' where id = ${ENDED}`;
  await admin`select issue_coupons(${ENDED}, array[${USERS - 1}::integer, ${USERS}::integer])`;
  await owner`update coupon.coupons set expiry = clock_timestamp() where id in (${ENDED}, 8)`;
  await owner`
    update coupon.coupons set start_time = start_time - interval '60 days', expiry = clock_timestamp() - interval '40 days'
    where id = any (${OLD}::bigint[])`;
  const { code = "", message = "", description = "", start_time = "", expiry = "", count = "" } = WITHDRAWN;
  await admin`
    select w.outcome
    from create_coupon(${code}, ${message}, ${description}, ${start_time}::text::timestamptz, ${expiry}::text::timestamptz,
      ${count}::text::integer) c
    cross join lateral withdraw_coupon(c.coupon_id) w`;
  await admin`
    select set_webhook('other-' || n, 'https://crm.example/') from generate_series(1, ${51 - WEBHOOKS.length}::integer) n`;
  await owner`insert into coupon.claim_secrets (id, key) values (2, ${CLAIM_KEY})`;
}

/** What the rows must be, whatever was asked of them. */
export async function assertRules({ scratch: { owner, admin } }: Pick<World, "scratch">): Promise<void> {
  assert.deepEqual([...(await admin`select * from reconcile()`)], []);
  const broken = await owner`
    select c.id, c.count, c.issued, count(g) as rows, max(g.position) as last
    from coupon.coupons c left join coupon.user_coupons g on g.coupon_id = c.id
    group by c.id
    having c.issued <> count(g) or c.issued <> coalesce(max(g.position), 0) or c.issued > c.count`;
  assert.deepEqual([...broken], [], "issued = rows = last position <= count");
  const twice = await owner`
    select user_id, issued_on from coupon.user_coupons group by user_id, issued_on having count(*) > 1`;
  assert.deepEqual([...twice], [], "one grant a user and day");
  const invalid = await owner`
    select conname from pg_constraint c join pg_namespace n on n.oid = c.connamespace
    where n.nspname = 'coupon' and not c.convalidated`;
  assert.deepEqual([...invalid], [], "constraints that don't hold");
}

/** The server itself: it logged no failure, no call of the database went wrong, nobody watches any more. */
export async function assertSound(world: World, streams: () => number): Promise<void> {
  assert.deepEqual(world.failures(), []);
  for (const [pool, { errors }] of Object.entries(world.db.pools))
    for (const [kind, count] of Object.entries(errors))
      if (kind !== "argument") assert.equal(count, 0, `${kind} in the pool ${pool}`);
  // A connection that its reader has closed is closed here a moment later.
  await until(() => streams() === 0, "no stream is open that nobody reads");
  await assertRules(world);
}

/** Far more than a busy machine needs. */
const PATIENCE_MS = 60_000;

/** With the route for demo tokens, which is to be asked too, and with more patience than a load balancer has. */
export async function openDemo(): Promise<World> {
  const world: World = await openWorld({
    env: { DEMO: "on" },
    database: { callMs: PATIENCE_MS },
    lanes: { maxWaitMs: PATIENCE_MS },
    readiness: async () => void (await world.db.schemaVersion()),
  });
  return world;
}

/** What nobody may be told. */
export function secretsOf({ scratch }: World): string[] {
  return [
    env.JWT_SECRET as string,
    ...[scratch.setupUrl, scratch.apiUrl, scratch.adminUrl].map((url) => new URL(url).password),
  ].filter((each) => each !== "");
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { readEnv } from "../env.ts";
import { isSeeding, seed } from "./seed.ts";

const COUPONS = `
  select regexp_replace(c.code, '-.*', ''), c.count, c.live_on - min(c.live_on) over () as day,
    to_char(c.start_time at time zone c.time_zone, 'HH24:MI:SS'), c.expiry at time zone c.time_zone = c.live_on + 2,
    c.code = regexp_replace(c.code, '-.*', '') || to_char(c.live_on, '-YYYYMMDD')
  from coupon.coupons c order by c.start_time`;
const SIX = [
  ["BREAKFAST", 25, 0, "00:00:00", true, true],
  ["LUNCH", 100, 0, "12:00:00", true, true],
  ["DINNER", 1000, 0, "18:00:00", true, true],
  ["BREAKFAST", 25, 1, "00:00:00", true, true],
  ["LUNCH", 100, 1, "12:00:00", true, true],
  ["DINNER", 1000, 1, "18:00:00", true, true],
];
const USERS = "select count(*)::integer, min(id)::integer, max(id)::integer from coupon.users";
const TODAY = "select (clock_timestamp() at time zone time_zone)::date::text from coupon.settings";

test("100000 users and six coupons, once, by days of the service's zone", async (t) => {
  const { admin, drop } = await scratchDatabase();
  t.after(drop);
  const rows = async (statement: string) => [...(await admin.unsafe(statement).values())];
  await admin`select set_time_zone('Pacific/Kiritimati')`; // 14 hours ahead: mostly another day than UTC's

  // As a run left it that was stopped after its first batch.
  await admin`
    select count(*) from import_users(
      array(select generate_series(1, 10000)), array(select 'Demo user ' || n from generate_series(1, 10000) n))`;
  const before = await rows(TODAY);
  assert.deepEqual(await seed(admin), { isDemo: true, users: 90_000, coupons: 6 });
  const after = await rows(TODAY);
  assert.deepEqual(await rows(USERS), [[100_000, 1, 100_000]]);
  assert.deepEqual(await rows(COUPONS), SIX);
  const [[first]] = (await rows("select min(live_on)::text from coupon.coupons")) as [[string]];
  assert.ok([before, after].flat(2).includes(first), `${first} is today, ${before} or ${after}`);
  assert.deepEqual(await rows("select count(*)::integer from reconcile()"), [[0]]);

  // At midnight a new day's three would be made.
  const again = await seed(admin);
  const [[later]] = (await rows(TODAY)) as [[string]];
  assert.deepEqual(again, { isDemo: true, users: 0, coupons: later === first ? 0 : 3 });
});

test("a database with users of its own is never touched", async (t) => {
  const { admin, drop } = await scratchDatabase();
  t.after(drop);
  await admin`select import_users(array[1, 7], array['Ann', 'Demo user 7'])`;
  assert.deepEqual(await seed(admin), { isDemo: false, users: 0, coupons: 0 });
  assert.deepEqual([...(await admin.unsafe(USERS).values())], [[2, 1, 7]]);
  assert.deepEqual([...(await admin.unsafe(COUPONS).values())], []);
});

test("a database with coupons of its own is never touched, without users either", async (t) => {
  const { admin, drop } = await scratchDatabase();
  t.after(drop);
  await admin`
    select from create_coupon('OWN', 'Our own', '', clock_timestamp() + interval '1 hour', clock_timestamp() + interval '2 days', 5)`;
  assert.deepEqual(await seed(admin), { isDemo: false, users: 0, coupons: 0 });
  assert.deepEqual([...(await admin.unsafe("select count(*)::integer from coupon.coupons").values())], [[1]]);
});

for (const [what, given, isMade] of [
  ["the embedded PostgreSQL: yes", {}, true],
  ["… but SEED=off", { SEED: "off" }, false],
  ["DATABASE_URL: no", { DATABASE_URL: "postgres://x/y" }, false],
  ["API_DATABASE_URL: no", { API_DATABASE_URL: "postgres://x/y" }, false],
  ["DATABASE_URL and SEED=demo: yes", { DATABASE_URL: "postgres://x/y", SEED: "demo" }, true],
] as const)
  test(`the demo is made, ${what}`, () => assert.equal(isSeeding(readEnv(given, "")), isMade));

import assert from "node:assert/strict";
import { test } from "node:test";
import { createThings, plantGrants } from "../../bench/harness/coupons.ts";
import { printed } from "../../bench/harness/printed.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { readEnv } from "../env.ts";
import { retire } from "./retire.ts";

/** No step takes any time: none is rested after, and no line is due while one goes on. */
const still = { now: () => 0, pause: async () => {} };

const day = (ago: number) => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10);

test("retire takes out what expired before a day, to its end", async (t) => {
  const { setupUrl, admin, owner, drop } = await scratchDatabase();
  t.after(drop);
  const env = readEnv({ DATABASE_URL: setupUrl }, "");
  const things = createThings(admin, owner);
  const old = await things.newCoupon({ count: 30, from: "-90 days" });
  await plantGrants(owner, old, await things.newUsers(30), "local - interval '80 days'");
  await owner`update coupon.coupons set expiry = clock_timestamp() - interval '70 days'`;
  await things.newCoupon({ from: "-60 days", until: "-50 days" });
  const live = await things.newCoupon();

  await assert.rejects(retire(env, [day(10)]), { message: `${day(10)} is less than 33 days ago` });
  await assert.rejects(retire(env, ["soon"]), /^Error: usage: /);
  for (const none of ["0000-01-01", "2026-02-30"])
    await assert.rejects(retire(env, [none]), { message: `${none} is no day: give one like 2026-01-01` });
  assert.deepEqual(await printed(t, () => retire(env, [day(60), "books are closed"], still)), [
    "C1 is retired; coupons left: 0",
    "retired: 1 coupon, 30 grants",
  ]);
  assert.deepEqual(await printed(t, () => retire(env, [day(40)], still)), [
    "C2 is retired; coupons left: 0",
    "retired: 1 coupon, 0 grants",
  ]);
  assert.deepEqual(await printed(t, () => retire(env, [day(40)], still)), ["retired: 0 coupons, 0 grants"]);
  const left = await owner`select id::integer from coupon.coupons`;
  assert.deepEqual(
    [...left].map(({ id }) => id),
    [live],
  );
  const [told] = await admin`select reason from audit_trail(coupon_id => ${old}) limit 1`;
  assert.equal(told?.["reason"], "books are closed");
  assert.deepEqual([...(await admin`select * from reconcile()`)], []);
});

test("retire rests 39 times as long as each step took, 30 s at most, and half a second while another one is at work", async (t) => {
  const { setupUrl, admin, owner, drop } = await scratchDatabase();
  t.after(drop);
  const things = createThings(admin, owner);
  const old = await things.newCoupon({ count: 2_500, from: "-90 days" });
  await plantGrants(owner, old, await things.newUsers(2_500), "local - interval '80 days'");
  await owner`update coupon.coupons set expiry = clock_timestamp() - interval '70 days'`;
  const another = await owner.reserve();
  t.after(() => another.release());
  await another`begin`;
  await another`select from coupon.folded for update`;

  // It is read at first, then before and after each step, and each time more has gone by: steps take 500 ms, 700 ms and so on.
  let [now, readings] = [0, 0];
  const pauses: number[] = [];
  const time = {
    now() {
      readings += 1;
      now += 100 * readings;
      return now;
    },
    async pause(ms: number) {
      if (pauses.push(ms) === 1) await another`rollback`;
      now += ms;
    },
  };
  const lines = await printed(t, () => retire(readEnv({ DATABASE_URL: setupUrl }, ""), [day(60)], time));
  // The coupon is taken out, and its grants: 1,000, 1,000 and 500. The last step looks for copies of them.
  assert.deepEqual(pauses, [500, 39 * 500, 39 * 700, 30_000, 30_000]);
  assert.deepEqual(lines, [
    "C1: 1,500 grants are left",
    "C1: 500 grants are left",
    "C1 is retired; coupons left: 0",
    "taking their grants out of past_grants, where wallets find them",
    "retired: 1 coupon, 2,500 grants",
  ]);
});

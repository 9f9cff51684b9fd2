import assert from "node:assert/strict";
import { test } from "node:test";
import { openWorld } from "../../bench/harness/app.ts";
import { createClock, settled } from "../../bench/harness/clock.ts";
import { rows } from "../../bench/harness/rows.ts";
import type { Count } from "../database/commands.ts";
import { createTally } from "../issuing/tally.ts";
import { startCounting } from "./counting.ts";

const LUNCH = { couponId: 7, refused: 2, replayed: 1 };

/** Counting against a database whose seconds end 400 ms after those of the clock; what it answers to each call, or why it fails. */
function counting(failures: (Error | undefined)[] = []) {
  const clock = createClock();
  const told: unknown[] = [];
  const logged: unknown[] = [];
  let counts: Count[] = [];
  const { end } = startCounting({
    db: {
      countDemand: async (_, number, ago, given) => {
        told.push([clock.now(), number, clock.now() - ago() * 1_000, given]);
        const failure = failures.shift();
        if (failure) throw failure;
        return 1 - ((clock.now() + 600) % 1_000) / 1_000;
      },
    },
    clock,
    log: { failure: (error) => void logged.push(error) },
    issuing: { tally: { take: () => counts.splice(0), told: () => {} } },
  });
  const count = (given: Count) => {
    counts = [...counts, given];
  };
  return { clock, told, logged, count, end };
}

test("a second of the database is told when it is over for 300 ms, by its middle; a second without requests is not", async () => {
  const { clock, told, count } = counting();
  await clock.pass(399);
  assert.deepEqual(told.splice(0), [[0, 1, 0, []]]);
  count(LUNCH);
  await clock.pass(301);
  assert.deepEqual(told.splice(0), [[700, 2, 200, [LUNCH]]]);
  count(LUNCH);
  await clock.pass(3_000);
  assert.deepEqual(told.splice(0), [[1_700, 3, 900, [LUNCH]]]);
  count({ ...LUNCH, refused: 5 });
  await clock.pass(1_000);
  assert.deepEqual(told, [[4_700, 4, 3_900, [{ ...LUNCH, refused: 5 }]]]);
});

test("what may have been counted is told again as it was, and what came meanwhile follows as one span", async () => {
  const lost = new Error("the answer was lost");
  const { clock, told, logged, count } = counting([undefined, lost, lost]);
  count(LUNCH);
  await clock.pass(700);
  count({ ...LUNCH, couponId: 8 });
  await clock.pass(2_000);
  await clock.pass(1_000);
  assert.deepEqual(told, [
    [0, 1, 0, []],
    [700, 2, 200, [LUNCH]],
    [1_700, 2, 200, [LUNCH]],
    [2_700, 2, 200, [LUNCH]],
    [3_700, 3, 1_900, [{ ...LUNCH, couponId: 8 }]],
  ]);
  assert.deepEqual(logged, [lost, lost]);
});

test("at the end the rest is told, after what is under way or waits", async () => {
  const { clock, told, count, end } = counting([undefined, new Error("lost")]);
  count(LUNCH);
  await clock.pass(700);
  count({ ...LUNCH, couponId: 8 });
  await end();
  const numbers = told.map((call) => (call as unknown[])[1]);
  assert.deepEqual(numbers, [1, 2, 2, 3]);
  await clock.pass(5_000);
  assert.equal(told.length, 4, "and nothing afterwards");
});

test("an end without a database is told, and ends", async () => {
  const lost = new Error("no database");
  const { told, logged, count, end } = counting([lost, lost, lost]);
  await settled();
  count(LUNCH);
  await end();
  assert.deepEqual([told.length, logged], [2, [lost, lost]]);
});

test("a call that was counted and whose answer was lost is counted once", async (t) => {
  const world = await openWorld();
  t.after(() => world.close());
  const [coupon, clock] = [await world.newCoupon(), createClock()];
  const counts = [{ couponId: coupon, refused: 30, replayed: 4 }];
  const answered: unknown[] = [];
  const { end } = startCounting({
    db: {
      countDemand: async (sender, number, ...given) => {
        await world.db.countDemand(sender, number, ...given);
        answered.push(number);
        if (answered.length === 2) throw new Error("the connection was cut");
        return 1;
      },
    },
    clock,
    log: { failure() {} },
    issuing: { tally: { take: () => counts.splice(0), told: () => {} } },
  });
  await end();
  await end();
  assert.deepEqual(answered, [1, 2, 2]);
  const { body } = await world.call(`GET /coupons/${coupon}`);
  assert.equal(body.asked, 34);
});

test("what is told stays pending until the database has it", async () => {
  const clock = createClock();
  const tally = createTally();
  let isLost = true;
  startCounting({
    db: {
      countDemand: async (_sender, number) => {
        if (number > 1 && isLost) throw new Error("the answer was lost");
        return 1;
      },
    },
    clock,
    log: { failure() {} },
    issuing: { tally },
  });
  const seen = () => [tally.counted(), tally.pending()];
  await settled();
  tally.refused(7);
  tally.answered(8, "already_issued");
  tally.answered(8, "issued");
  assert.deepEqual(seen(), [0, 2]);
  await clock.pass(1_500);
  tally.refused(7);
  assert.deepEqual(seen(), [0, 3]);
  isLost = false;
  await clock.pass(1_000);
  assert.deepEqual(seen(), [2, 1]);
  await clock.pass(2_000);
  assert.deepEqual(seen(), [3, 0]);
});

test("the server's login tells what was answered: refusals from a lease and by the database, replays, no invented coupon", async (t) => {
  const world = await openWorld();
  t.after(() => world.close());
  const coupon = await world.newCoupon({ count: 1 });
  const [ann, ben] = [await world.newUser(), await world.newUser()];
  const { end } = startCounting({ ...world, clock: createClock(), log: { failure: assert.ifError } });
  await world.issue(coupon, ann);
  await world.issue(coupon, ann);
  await world.issue(999_999, ann);
  let refused = 0;
  while (world.issuing.leases.hits() < 3) {
    await world.issue(coupon, ben);
    refused += 1;
  }
  await world.issue(coupon, 12_345_678);
  const { tally } = world.issuing;
  assert.deepEqual([tally.counted(), tally.pending()], [0, refused + 2]);
  await end();
  assert.deepEqual([tally.counted(), tally.pending()], [refused + 2, 0]);
  const demand = world.scratch.owner`select coupon_id::integer, sum(refused)::integer, sum(replayed)::integer
    from coupon.demand group by coupon_id`;
  assert.deepEqual(await rows(demand), [[coupon, refused + 1, 1]]);
  const { body } = await world.call(`GET /coupons/${coupon}`);
  assert.equal(body.asked, refused + 3);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { openWorld } from "../../bench/harness/app.ts";
import { createClock } from "../../bench/harness/clock.ts";
import { plantGrants } from "../../bench/harness/coupons.ts";
import { STEP, startFolding } from "./folding.ts";

/** What each step copies, or why it fails. */
function folding(steps: (number | Error | (() => number))[], demand: number[] = []) {
  const clock = createClock();
  const failures: unknown[] = [];
  const asked: number[] = [];
  let forgets = 0;
  const state = { draining: false };
  const foldGrants = async (atMost: number) => {
    assert.equal(atMost, STEP);
    asked.push(clock.now());
    const step = steps.shift() ?? 0;
    if (step instanceof Error) throw step;
    return typeof step === "function" ? step() : step;
  };
  startFolding({
    db: { foldGrants, foldDemand: async () => demand.shift() ?? 0, forgetSubjects: async () => ++forgets },
    clock,
    log: { failure: (error) => void failures.push(error) },
    isDraining: () => state.draining,
  });
  const began = clock.now();
  return {
    clock,
    failures,
    state,
    asked: () => asked.map((at) => (at - began) / 1000),
    forgets: () => forgets,
  };
}

test("a look each minute, and a step each second while there is more", async () => {
  const { clock, asked, forgets } = folding([0, STEP, STEP, 7, 0]);
  await clock.pass(250_000);
  assert.equal(forgets(), 6);
  assert.deepEqual(asked(), [60, 120, 121, 122, 182, 242]);
});

test("a step each second while there is more demand to put together", async () => {
  const { clock, asked } = folding([], [0, STEP, 7]);
  await clock.pass(190_000);
  assert.deepEqual(asked(), [60, 120, 121, 181]);
});

test("a step that fails is told, and the next look comes", async () => {
  const error = new Error("no database");
  const { clock, asked, failures } = folding([error]);
  await clock.pass(120_000);
  assert.deepEqual([asked(), failures], [[60, 120], [error]]);
});

test("none while it drains, also not the rest of those that began", async () => {
  const drain = () => {
    state.draining = true;
    return STEP;
  };
  const { clock, asked, forgets, state } = folding([0, drain]);
  await clock.pass(600_000);
  assert.deepEqual([asked(), forgets()], [[60, 120], 1]);
});

test("the server's login copies what the wallet then finds", async (t) => {
  const world = await openWorld();
  t.after(() => world.close());
  const clock = createClock();
  const [user, coupon] = [await world.newUser(), await world.newCoupon({ from: "-90 days" })];
  await plantGrants(world.scratch.owner, coupon, [user], "local - interval '80 days'");
  const copied = new Promise<number>((resolve, reject) => {
    const foldGrants = async (atMost: number) => {
      const count = await world.db.foldGrants(atMost);
      resolve(count);
      return count;
    };
    startFolding({
      db: { ...world.db, foldGrants },
      clock,
      log: { failure: reject },
      isDraining: () => false,
    });
  });
  await clock.pass(60_000);
  assert.equal(await copied, 1);
  const [wallet] = await world.db.wallet(user, null, 10);
  assert.equal(wallet?.coupon_id, coupon);
});

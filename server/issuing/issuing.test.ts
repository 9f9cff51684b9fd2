import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { openWorld } from "../../bench/harness/app.ts";
import { createClock, settled } from "../../bench/harness/clock.ts";
import { Overloaded } from "../api/failures.ts";
import type { Issue } from "../database/commands.ts";
import { createIssuing } from "./issuing.ts";

const nothing = {
  ...{ position: null, issued_on: null, issued_at: null },
  ...{ starts_in: null, sold_out_at: null, time_to_sell_out: null },
};

/** Issuing whose calls wait in `calls` until the test answers them all; each coupon is answered with its outcome here. */
function held(outcomes: Record<number, Issue["outcome"]>) {
  const calls: { couponId: number; users: number; answer: () => void }[] = [];
  const issuing = createIssuing({
    issueCoupons: (couponId, userIds) =>
      new Promise((resolve) => {
        const outcome = outcomes[couponId] ?? "coupon_not_found";
        const issues = userIds.map((user_id): Issue => ({ outcome, user_id, ...nothing }));
        calls.push({ couponId, users: userIds.length, answer: () => resolve(issues) });
      }),
    couponLeases: async (questions) => questions.map(() => ({ outcome: "not_leased" })),
  });
  /** Answers all calls, and those that follow from them. */
  async function answerAll() {
    while (calls.length > 0) {
      for (const { answer } of calls.splice(0)) answer();
      for (let i = 0; i < 4; i++) await turn();
    }
  }
  const ask = (...couponIds: number[]) =>
    couponIds.map(async (couponId) =>
      Promise.resolve(issuing.issue(couponId, 1)).then(
        ({ outcome }) => outcome,
        (error: unknown) => (error instanceof Overloaded ? "overloaded" : error),
      ),
    );
  return { issuing, calls, ask, answerAll };
}

const strange = Array.from({ length: 40 }, (_, i) => 1_000 + i);
const answered = [...Array(32).fill("coupon_not_found"), ...Array(8).fill("overloaded")];

test("coupons that aren't known have 32 calls together, one more is refused; a known one has its own", async () => {
  const { issuing, calls, ask, answerAll } = held({ 7: "sold_out" });
  for (const round of [1, 2]) {
    const known = ask(7);
    await answerAll();
    assert.deepEqual(await Promise.all(known), ["sold_out"]);
    const told = ask(...strange, 7);
    assert.deepEqual(calls.length, 33);
    await answerAll();
    assert.deepEqual(await Promise.all(told), [...answered, "sold_out"]);
    assert.equal(issuing.lanes.overloaded(), 8 * round);
  }
});

test("who asks for a coupon that is being asked about waits for it, known or not", async () => {
  const { calls, ask, answerAll } = held({ 7: "issued" });
  const told = ask(7, ...strange.slice(0, 31), 7, 7, 7);
  assert.deepEqual(
    calls.map(({ users }) => users),
    Array(32).fill(1),
  );
  await answerAll();
  assert.deepEqual(await Promise.all(told), [
    "issued",
    ...Array(31).fill("coupon_not_found"),
    ...Array(3).fill("issued"),
  ]);
});

for (const outcome of ["coupon_not_found", "ended"] as const)
  test(`who is told ${outcome} has found out nothing that is on offer`, async () => {
    const { ask, answerAll } = held({ 7: outcome });
    ask(7);
    await answerAll();
    const told = ask(...strange, 7);
    await answerAll();
    assert.deepEqual(await Promise.all(told), [...answered, "overloaded"]);
  });

test("a call that fails gives its place back", async () => {
  const issuing = createIssuing({
    issueCoupons: () => Promise.reject(new Error("lost")),
    couponLeases: async (questions) => questions.map(() => ({ outcome: "not_leased" })),
  });
  for (const id of strange) await assert.rejects(async () => issuing.issue(id, 1), { message: "lost" });
});

test("no lease outlives a lost connection", async () => {
  const clock = createClock();
  const lost: (() => void)[] = [];
  const issuing = createIssuing(
    {
      issueCoupons: async (_, userIds) =>
        userIds.map((user_id) => ({ outcome: "sold_out", user_id, ...nothing })),
      couponLeases: async (questions) =>
        questions.map(() => ({
          outcome: "leased",
          refusal: "sold_out",
          valid_for: 1,
          starts_in: null,
          sold_out_at: null,
          time_to_sell_out: null,
          issued: 0,
          last_issued_at: null,
          holders_after: 0,
          holders: [],
        })),
      onLost: (listener) => void lost.push(listener),
    },
    {},
    () => {},
    clock,
  );
  assert.equal((await issuing.issue(7, 1)).outcome, "sold_out");
  await settled();
  assert.equal(issuing.leases.held(), 1);
  for (const listener of lost) listener();
  assert.equal(issuing.leases.held(), 0);
});

test("2,500 requests for invented coupons leave the connections to the real one", async (t) => {
  const world = await openWorld();
  t.after(world.close);
  const coupon = await world.newCoupon();
  const [ann, ben] = [await world.newUser(), await world.newUser()];
  await world.issue(coupon, ann);
  const told = async (couponId: number, userId: number) => {
    try {
      const { outcome, position } = await world.issuing.issue(couponId, userId);
      return `${outcome} ${position}`;
    } catch (error) {
      return (error as Error).name;
    }
  };
  const invented = Array.from({ length: 2_500 }, (_, i) => told(1_000_000 + i, ann));
  assert.equal(await told(coupon, ben), "issued 2");
  const all = await Promise.all(invented);
  // A slow database may refuse some of the 32 in the end, for they wait for a connection.
  assert.equal(all.filter((one) => one === "Overloaded").length, 2_468);
});

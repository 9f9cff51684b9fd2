import assert from "node:assert/strict";
import { test } from "node:test";
import { openWorld } from "../../bench/harness/app.ts";
import { createClock } from "../../bench/harness/clock.ts";
import type { PlannedCoupon } from "../database/plan.ts";
import { startFilling } from "./filling.ts";

type Told = Pick<PlannedCoupon, "outcome" | "code" | "day" | "warning">;
const coupon = (
  outcome: PlannedCoupon["outcome"],
  code: string,
  warning: PlannedCoupon["warning"] = null,
): Told => ({ outcome, code, day: "2036-01-01", warning });

/** What each filling answers, or why it fails. */
function filling(answers: (Told[] | Error)[]) {
  const clock = createClock();
  const failures: unknown[] = [];
  const events: unknown[] = [];
  const asked: number[] = [];
  const state = { draining: false };
  const began = clock.now();
  startFilling({
    db: {
      fillDays: async (...given: unknown[]) => {
        assert.deepEqual(given, [null, { actor: "server:plan" }]);
        asked.push((clock.now() - began) / 1000);
        const answer = answers.shift() ?? [];
        if (answer instanceof Error) throw answer;
        return answer as PlannedCoupon[];
      },
    },
    clock,
    log: {
      event: (message, members) => void events.push([message, members]),
      failure: (error) => void failures.push(error),
    },
    isDraining: () => state.draining,
  });
  return { clock, failures, events, state, asked };
}

test("a minute after the start, then every hour", async () => {
  const { clock, asked } = filling([]);
  await clock.pass(2 * 3_600_000 + 60_000);
  assert.deepEqual(asked, [60, 3660, 7260]);
});

test("what was made is told, what a rule refuses is told once, and what is as it was is not", async () => {
  const full = coupon("day_full", "B");
  const refused = [{ outcome: "day_full", day: "2036-01-01", code: "B" }];
  const { clock, events } = filling([
    [coupon("made", "A"), full, coupon("in_the_past", "C"), coupon("already_made", "D")],
    [coupon("already_made", "A"), full],
    [],
    [coupon("in_the_past", "C")],
  ]);
  await clock.pass(4 * 3_600_000);
  assert.deepEqual(events, [
    ["days filled", { made: ["A"], warned: [], refused }],
    ["days filled", { made: [], warned: [], refused: [] }],
  ]);
});

test("what was made although it may be a mistake is told, with why", async () => {
  const { clock, events } = filling([[coupon("made", "A"), coupon("made", "B", "short_lived")]]);
  await clock.pass(60_000);
  const warned = [{ day: "2036-01-01", code: "B", warning: "short_lived" }];
  assert.deepEqual(events, [["days filled", { made: ["A", "B"], warned, refused: [] }]]);
});

test("one that fails is told, and the next one comes", async () => {
  const error = new Error("no database");
  const { clock, asked, failures } = filling([error]);
  await clock.pass(3_660_000);
  assert.deepEqual([asked, failures], [[60, 3660], [error]]);
});

test("none while it drains", async () => {
  const { clock, asked, state } = filling([]);
  await clock.pass(60_000);
  state.draining = true;
  await clock.pass(10 * 3_600_000);
  assert.deepEqual(asked, [60]);
});

test("the server's login makes what is planned, once for all servers", async (t) => {
  const world = await openWorld();
  t.after(() => world.close());
  const { scratch, db } = world;
  await scratch.admin`
    select from generate_series(1, 7) w, set_plan_entry(w, 1, 'L-{date}', 'm', 'd', '12:00', '13:00', 5)`;
  const told: { made: unknown[]; refused: unknown[] }[] = [];
  const rounds = [1, 2, 3].map(() => {
    const clock = createClock();
    const filled = new Promise<void>((resolve, reject) => {
      const fillDays: typeof db.fillDays = async (...given) => {
        const coupons = await db.fillDays(...given).catch((error) => {
          reject(error);
          throw error;
        });
        resolve();
        return coupons;
      };
      const event = (_: string, members: unknown) => void told.push(members as (typeof told)[number]);
      startFilling({ db: { fillDays }, clock, log: { event, failure: reject }, isDraining: () => false });
    });
    return { clock, filled };
  });
  await Promise.all(rounds.map(({ clock, filled }) => Promise.all([clock.pass(60_000), filled])));
  const [row] = await scratch.owner`
    select count(*)::integer as coupons, count(distinct code)::integer as codes from coupon.coupons where code like 'L-%'`;
  assert.deepEqual(row, { coupons: told[0]?.made.length, codes: told[0]?.made.length });
  assert.equal(told.length, 1);
  assert.ok([13, 14].includes(told[0]?.made.length as number), "today's may be over");
  const [audit] = await scratch.admin`select login, actor from audit_trail(page_size => 1)`;
  assert.deepEqual(audit, { login: "coupon_api", actor: "server:plan" });
});

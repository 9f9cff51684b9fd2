/**
 * ./sd retire DAY [REASON]: takes out the coupons that expired before a day, with their grants, a step at a time. After each step it waits
 * PATIENCE times as long as that took, LONGEST_MS at most: who issues meanwhile waits for no lock of it, but shares processors and disk.
 */
import { setTimeout } from "node:timers/promises";
import { dayText } from "../api/requests.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { Env } from "../env.ts";
import { asAdmin } from "./database.ts";
import { counted, say } from "./print.ts";

/** Until somebody else, fold_grants() say, lets go. ms */
const BUSY_MS = 500;
/** Grants of a step, and how many times as long as it took to wait. */
const STEP = 1_000;
const PATIENCE = 39;
/** However long a step seemed to take: the process or the machine may have slept meanwhile. ms */
const LONGEST_MS = 30_000;
/** Between two lines about one coupon. ms */
const QUIET_MS = 5_000;

/** Measures and waits; a test has its own. */
interface Time extends Pick<Clock, "now"> {
  pause(ms: number): Promise<unknown>;
}

export async function retire(
  env: Env,
  [before = "", reason, ...more]: string[],
  { now, pause }: Time = { now: systemClock.now, pause: setTimeout },
): Promise<number> {
  if (!/^\d{4}-\d\d-\d\d$/.test(before) || more.length > 0)
    throw new Error('usage: ./sd retire 2026-01-01 ["a reason, for the audit"]');
  if (!dayText("").safeParse(before).success)
    throw new Error(`${before} is no day: give one like 2026-01-01`);
  return asAdmin(env, async (sql) => {
    const moved = { coupons: 0, grants: 0 };
    let saidAt = now();
    for (;;) {
      const began = now();
      const [step] = await sql`
        select outcome, coupon_id, code, grants, grants_left, coupons_left
        from retire_coupons(${before}::text::date, at_most => ${STEP}::integer, reason => ${reason ?? null}::text)`;
      const ended = now();
      if (step?.["outcome"] === "too_recent") throw new Error(`${before} is less than 33 days ago`);
      if (step?.["outcome"] === "busy") {
        await pause(BUSY_MS);
        continue;
      }
      moved.grants += step?.["grants"];
      if (step?.["coupon_id"] && step["grants_left"] === 0) {
        moved.coupons += 1;
        say(`${step["code"]} is retired; coupons left: ${step["coupons_left"]}`);
        saidAt = ended;
      } else if (ended - saidAt > QUIET_MS) {
        say(
          step?.["coupon_id"]
            ? `${step["code"]}: ${counted(step["grants_left"].toLocaleString("en"), "grant is left", "grants are left")}`
            : "taking their grants out of past_grants, where wallets find them",
        );
        saidAt = ended;
      }
      if (step?.["outcome"] === "done") break;
      await pause(Math.min((ended - began) * PATIENCE, LONGEST_MS));
    }
    say(
      `retired: ${counted(moved.coupons, "coupon")}, ${counted(moved.grants.toLocaleString("en"), "grant")}`,
    );
    return 0;
  });
}

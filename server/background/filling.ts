/** Fills the days to come by the plan. Every process does it: the database lets one work, and the others find all made. */
import type { Clock } from "../clock.ts";
import type { Db } from "../database/functions.ts";
import type { PlannedCoupon } from "../database/plan.ts";

/** Until the first time, so that no start waits for it … */
const FIRST_MS = 60_000;
/** … and from one time to the next: days are filled two weeks ahead. */
const NEXT_MS = 3_600_000;
/** As the audit names who does it. */
const ACTOR = "server:plan";

interface Parts {
  db: Pick<Db, "fillDays">;
  clock: Clock;
  log: {
    event: (message: string, members: Record<string, unknown>) => void;
    failure: (error: unknown) => void;
  };
  /** Then it fills no more. */
  isDraining: () => boolean;
}

/**
 * Begins in a minute. What fails is logged, and tried again at the next time; what a rule refuses is told once. What is made although it may
 * be a mistake is told with it.
 */
export function startFilling({ db, clock, log, isDraining }: Parts): void {
  let told = "[]";
  async function fill(): Promise<void> {
    if (isDraining()) return;
    try {
      const coupons = await db.fillDays(null, { actor: ACTOR });
      const made = coupons.filter(({ outcome }) => outcome === "made").map(({ code }) => code);
      const warned = coupons
        .filter(({ warning }) => warning !== null)
        .map(({ day, code, warning }) => ({ day, code, warning }));
      const refused = coupons.filter(isRefused).map(({ outcome, day, code }) => ({ outcome, day, code }));
      if (made.length > 0 || JSON.stringify(refused) !== told)
        log.event("days filled", { made, warned, refused });
      told = JSON.stringify(refused);
    } catch (error) {
      log.failure(error);
    }
    clock.after(NEXT_MS, fill);
  }
  clock.after(FIRST_MS, fill);
}

const isRefused = ({ outcome }: PlannedCoupon) => !["made", "already_made", "in_the_past"].includes(outcome);

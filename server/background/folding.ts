/**
 * Puts away what is a month over: grants to where wallet() finds them by user, demand into quarters of an hour. Ends what is kept of
 * forgotten subjects. Every process does it.
 */
import type { Clock } from "../clock.ts";
import type { Db } from "../database/functions.ts";

/** Grants, and seconds of demand, of a step: a tenth of a second of the database each. */
export const STEP = 5_000;
/** Until the next step, while there is more to copy … */
const NEXT_MS = 1_000;
/** … and until the next look, when there is none. */
const LOOK_MS = 60_000;

interface Parts {
  db: Pick<Db, "foldGrants" | "foldDemand" | "forgetSubjects">;
  clock: Clock;
  log: { failure: (error: unknown) => void };
  /** Then no step begins any more. */
  isDraining: () => boolean;
}

/** Begins in a minute. A step that fails is logged, and tried again at the next look. */
export function startFolding({ db, clock, log, isDraining }: Parts): void {
  async function rowsOf(fold: () => Promise<number>): Promise<number> {
    if (isDraining()) return 0;
    return fold().catch((error: unknown) => {
      log.failure(error);
      return 0;
    });
  }

  async function step(): Promise<void> {
    const folded = [await rowsOf(() => db.foldGrants(STEP)), await rowsOf(() => db.foldDemand(STEP))];
    await rowsOf(() => db.forgetSubjects());
    if (!isDraining()) clock.after(folded.includes(STEP) ? NEXT_MS : LOOK_MS, step);
  }
  clock.after(LOOK_MS, step);
}

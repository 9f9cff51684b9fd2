/** Copies grants of days that are over to where wallet() finds them by user. Every process does it, and the database lets one work. */
import type { Clock } from "./clock.ts";
import type { Db } from "./database/functions.ts";

/** Grants of a step: a tenth of a second of the database. */
export const STEP = 5_000;
/** Until the next step, while there is more to copy … */
const NEXT_MS = 1_000;
/** … and until the next look, when there is none. */
const LOOK_MS = 60_000;

interface Parts {
  db: Pick<Db, "foldGrants">;
  clock: Clock;
  log: { failure: (error: unknown) => void };
  /** Then no step begins any more. */
  isDraining: () => boolean;
}

/** Begins in a minute. A step that fails is logged, and tried again at the next look. */
export function startFolding({ db, clock, log, isDraining }: Parts): void {
  async function step(): Promise<void> {
    if (isDraining()) return;
    const copied = await db.foldGrants(STEP).catch((error) => {
      log.failure(error);
      return 0;
    });
    clock.after(copied === STEP ? NEXT_MS : LOOK_MS, step);
  }
  clock.after(LOOK_MS, step);
}

/** Limits the number of long requests that hold memory (streams, lists), per process. */
import { Problem } from "./problem.ts";

export interface Places {
  /** Takes a place and returns a function that gives it back. Throws a problem if none is free. */
  take(): () => void;
}

/** Seconds after which to ask again. */
const ASK_AGAIN_S = 5;

/** `what` names what is limited. */
export function createPlaces(what: string, max: number): Places {
  let taken = 0;
  return {
    take() {
      if (taken >= max)
        throw new Problem("overloaded", {
          detail: `Too many ${what} are open already. Ask again.`,
          retryAfter: ASK_AGAIN_S,
        });
      taken += 1;
      return () => {
        taken -= 1;
      };
    },
  };
}

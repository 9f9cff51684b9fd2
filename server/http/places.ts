/** Limits the number of long requests that hold memory (streams, lists), per process and per user. */
import { Problem } from "./problem.ts";

export interface Places {
  /** Takes a place and returns a function that gives it back. Throws a problem if none is free. */
  take(userId?: number): () => void;
}

/** Seconds after which to ask again. */
const ASK_AGAIN_S = 5;

/** `what` names what is limited. Requests without a user_id (of services and admins) count only against the limit of the process. */
export function createPlaces(what: string, max: number, maxOfUser = max): Places {
  const holders: (number | undefined)[] = [];
  return {
    take(userId) {
      if (userId !== undefined && holders.filter((holder) => holder === userId).length >= maxOfUser)
        throw new Problem("rate_limited", {
          detail: `This user has ${maxOfUser} ${what} open already. Ask again later.`,
          retryAfter: ASK_AGAIN_S,
        });
      if (holders.length >= max)
        throw new Problem("overloaded", {
          detail: `Too many ${what} are open already. Ask again.`,
          retryAfter: ASK_AGAIN_S,
        });
      holders.push(userId);
      return () => void holders.splice(holders.indexOf(userId), 1);
    },
  };
}

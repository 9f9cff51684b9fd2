/** What goes on for long and holds memory meanwhile has places: so many of a process, and so many of them for one user. */
import { Problem } from "./problem.ts";

export interface Places {
  /** Takes a place and returns what gives it back. Throws the problem of who gets none. */
  take(userId?: number): () => void;
}

/** Seconds after which to ask again. */
const ASK_AGAIN_S = 5;

/** `what` is open in them; without a user_id (of services and admins) only the places of all count. */
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

/** Measures several things in turn, so that other work of the machine slows all of them alike. */

import { shuffled } from "../harness/stats.ts";
import type { Say } from "../report/result.ts";

/**
 * Calls `measure` for each contender once a round. Round 0 warms up and is not kept, unless `first` is 1; `rounds` more follow. A single
 * round only tries whether all works: nothing is warmed up for its figures. Each round has another order, which is the same in each run.
 * Returns the results of each contender, in the order of the rounds.
 */
export async function inTurn<Contender, Measured>(
  contenders: readonly Contender[],
  rounds: number,
  measure: (contender: Contender, round: number) => Promise<Measured>,
  say: Say,
  first: 0 | 1 = rounds === 1 ? 1 : 0,
): Promise<Map<Contender, Measured[]>> {
  const measured = new Map<Contender, Measured[]>(contenders.map((contender) => [contender, []]));
  for (let round: number = first; round <= rounds; round++) {
    say(round === 0 ? "warming up" : `round ${round} of ${rounds}`);
    for (const contender of shuffled([...contenders], round + 1)) {
      const result = await measure(contender, round);
      if (round > 0) measured.get(contender)?.push(result);
    }
  }
  return measured;
}

/**
 * Volleys of about `ms`, by the rate of the contender's last one; the first has `first` requests. There are at least four a connection, so
 * that each is used, and at most `most`.
 */
export function createPace(ms: number, first: number, most: number) {
  const rates = new Map<unknown, number>();
  return {
    /** Lets `fire` send as many as fit, and returns what it saw. */
    async volley<Seen extends { perSecond: number }>(
      contender: unknown,
      connections: number,
      fire: (requests: number) => Promise<Seen>,
    ): Promise<Seen> {
      const perSecond = rates.get(contender);
      const wanted = perSecond === undefined ? first : Math.round((perSecond * ms) / 1000);
      const seen = await fire(Math.min(most, Math.max(wanted, 4 * connections)));
      rates.set(contender, seen.perSecond);
      return seen;
    },
  };
}

/** Measures several things in turn, so that whatever else the machine does falls on all of them alike. */

import { shuffled } from "../harness/stats.ts";
import type { Say } from "../report/result.ts";

/**
 * Calls `measure` once a round for each contender: in round 0, which warms up and is not kept, and in `rounds` more. Each
 * round has another order, the same in each run. Answers each contender's results, in the order of the rounds.
 */
export async function inTurn<Contender, Measured>(
  contenders: readonly Contender[],
  rounds: number,
  measure: (contender: Contender, round: number) => Promise<Measured>,
  say: Say,
): Promise<Map<Contender, Measured[]>> {
  const measured = new Map<Contender, Measured[]>(contenders.map((contender) => [contender, []]));
  for (let round = 0; round <= rounds; round++) {
    say(round === 0 ? "warming up" : `round ${round} of ${rounds}`);
    for (const contender of shuffled([...contenders], round + 1)) {
      const result = await measure(contender, round);
      if (round > 0) measured.get(contender)?.push(result);
    }
  }
  return measured;
}

/**
 * How many requests make a volley of about `ms`: by how fast the last one of the same contender was, and `first` before
 * there was any. At least four a connection, so that each has its turn, and at most `most`.
 */
export function createPace(ms: number, first: number, most: number) {
  const rates = new Map<unknown, number>();
  return {
    requests(contender: unknown, connections: number): number {
      const perSecond = rates.get(contender);
      const wanted = perSecond === undefined ? first : Math.round((perSecond * ms) / 1000);
      return Math.min(most, Math.max(wanted, 4 * connections));
    },
    was(contender: unknown, perSecond: number): void {
      rates.set(contender, perSecond);
    },
  };
}

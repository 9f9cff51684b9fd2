/** Counts by coupon what was answered and wrote nothing, until somebody takes the counts. */
import type { Count, Issue } from "../database/commands.ts";

/** What count_demand() takes in one call. */
const MOST = 10_000;

export type Tally = ReturnType<typeof createTally>;

export function createTally() {
  const counts = new Map<number, Count>();
  let taken = 0;
  let counted = 0;

  function of(couponId: number): Count {
    let count = counts.get(couponId);
    if (count === undefined) {
      count = { couponId, refused: 0, replayed: 0 };
      counts.set(couponId, count);
    }
    return count;
  }

  return {
    refused(couponId: number): void {
      of(couponId).refused += 1;
    },
    /** A grant is counted by its row, and a coupon that isn't there by nobody. */
    answered(couponId: number, outcome: Issue["outcome"]): void {
      if (outcome === "already_issued") of(couponId).replayed += 1;
      else if (outcome !== "issued" && outcome !== "coupon_not_found") of(couponId).refused += 1;
    },
    /** The counts since the last time. What is more than one call can take stays for the next one. */
    take(): Count[] {
      const next = [...counts.values()].slice(0, MOST);
      for (const { couponId } of next) counts.delete(couponId);
      taken += sum(next);
      return next;
    },
    /** The database has these, which were taken. */
    told(given: readonly Count[]): void {
      counted += sum(given);
    },
    /** Answers that the database has. */
    counted: () => counted,
    /** Answers that it does not have yet. */
    pending: () => sum([...counts.values()]) + taken - counted,
  };
}

function sum(counts: readonly Count[]): number {
  return counts.reduce((sum, { refused, replayed }) => sum + refused + replayed, 0);
}

/** A clock that stands still until a test moves it. */
import { setImmediate as turn } from "node:timers/promises";
import type { Clock } from "../../server/clock.ts";

export interface MovedClock extends Clock {
  /** Moves the clock. What is due is called in order, each at its own time, and what follows at once is waited for. */
  pass(ms: number): Promise<void>;
}

export function createClock(wall = Date.UTC(2026, 10, 22)): MovedClock {
  const due = new Set<{ at: number; then: () => void }>();
  let now = 0;

  return {
    now: () => now,
    wall: () => wall + now,
    after(ms, then) {
      const entry = { at: now + ms, then };
      due.add(entry);
      return () => void due.delete(entry);
    },
    async pass(ms) {
      const end = now + ms;
      for (;;) {
        await settled();
        const next = [...due].sort((a, b) => a.at - b.at)[0];
        if (next === undefined || next.at > end) break;
        due.delete(next);
        now = next.at;
        next.then();
      }
      now = end;
      await settled();
    },
  };
}

/** Waits a few turns of the event loop, in which everything happens that needs no time. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
}

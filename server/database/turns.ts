/** The calls of a pool, one per connection: the others wait, in order and not for long. */
import type { DatabaseError } from "./errors.ts";

/** Calls that may wait for a connection of a pool, and how long. Further calls are refused before they reach the database. */
const MAX_WAITING = 2_000;
const MAX_WAIT_MS = 2_000;

export type Turns = ReturnType<typeof createTurns>;

/** Lets `max` calls run at once, in order of arrival. */
export function createTurns(max: number, tooMany: () => DatabaseError) {
  let running = 0;
  const waiting: (() => void)[] = [];

  function wait(): Promise<void> {
    if (waiting.length >= MAX_WAITING) return Promise.reject(tooMany());
    return new Promise((resolve, reject) => {
      const take = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(take), 1);
        reject(tooMany());
      }, MAX_WAIT_MS);
      waiting.push(take);
    });
  }

  return {
    /** Takes a place. If none is free, returns a promise of one. */
    take(): Promise<void> | undefined {
      if (running >= max) return wait();
      running += 1;
      return undefined;
    },
    /** Gives the place to the first call that waits. */
    pass(): void {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    },
    running: () => running,
    waiting: () => waiting.length,
  };
}

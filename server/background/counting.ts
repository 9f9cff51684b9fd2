/** Tells the database once a second how many requests this process answered without a grant. No issuing waits for it. */
import { randomUUID } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Count } from "../database/commands.ts";
import type { Db } from "../database/functions.ts";

/** From the end of a second until it is told, ms: drops start with a full second, and shall have the database then. */
const LATER_MS = 300;

interface Parts {
  db: Pick<Db, "countDemand">;
  clock: Clock;
  log: { failure: (error: unknown) => void };
  issuing: { tally: { take(): Count[]; told(counts: readonly Count[]): void } };
}

/** What was counted in one span of time. It is sent as it is until it is known to be counted, so it is counted once. */
interface Told {
  number: number;
  /** The middle of the span, on the clock's now(). */
  at: number;
  counts: readonly Count[];
}

/**
 * Counts by the seconds of the database clock, which it learns from the first call. While the database takes nothing, the seconds since
 * then are one span. Without requests it calls nothing. `end()` tells what is left, and resolves when that is done or has failed.
 */
export function startCounting({ db, clock, log, issuing }: Parts) {
  const sender = randomUUID();
  let told: Told | undefined = { number: 1, at: clock.now(), counts: [] };
  let last = 1;
  let began = clock.now();
  /** When a second of the database ends, or ended. */
  let second = clock.now();
  let isEnding = false;
  let telling = Promise.resolve();

  function cut(): void {
    const now = clock.now();
    const counts = issuing.tally.take();
    if (counts.length > 0) told = { number: ++last, at: (began + now) / 2, counts };
    began = now;
  }

  async function tell(): Promise<void> {
    if (told === undefined) return;
    const { number, at, counts } = told;
    const sentAt = clock.now();
    const left = await db.countDemand(sender, number, () => Math.max(0, clock.now() - at) / 1_000, counts);
    told = undefined;
    issuing.tally.told(counts);
    second = (sentAt + clock.now()) / 2 + left * 1_000;
  }

  function next(): void {
    const now = clock.now();
    second += Math.ceil(Math.max(0, now - second) / 1_000) * 1_000;
    clock.after(second - now, () => {
      if (told === undefined) cut();
      clock.after(LATER_MS, () => {
        if (isEnding) return;
        telling = tell().catch(log.failure).then(next);
      });
    });
  }
  telling = tell().catch(log.failure).then(next);

  return {
    async end(): Promise<void> {
      isEnding = true;
      await telling;
      try {
        await tell();
        cut();
        await tell();
      } catch (error) {
        log.failure(error);
      }
    },
  };
}

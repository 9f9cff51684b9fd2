/** New users who ask for a coupon that is never sold out, so many a second: each asks until it is answered. */
import type { Load } from "../load.ts";

const PER_SECOND = 60;
/** Each asks for so long. */
const PATIENCE_MS = 60_000;

interface StreamOptions {
  load: Load;
  coupon: number;
  firstUser: number;
  /** Where they ask. */
  target: () => string | undefined;
  random: () => number;
}

export interface Stream {
  /** Nobody new comes; waits until those who wait have their answer. */
  finish(): Promise<void>;
}

export function startStream({ load, coupon, firstUser, target, random }: StreamOptions): Stream {
  const asking: Promise<unknown>[] = [];
  // About as long as Retry-After says, and not all at once.
  const pause = () => 500 + random() * 1_000;
  const timer = setInterval(() => {
    const user = firstUser + asking.length;
    asking.push(load.insist({ kind: "issue", coupon, user }, PATIENCE_MS, target, pause));
  }, 1_000 / PER_SECOND);
  return {
    async finish() {
      clearInterval(timer);
      await Promise.all(asking);
    },
  };
}

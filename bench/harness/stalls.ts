/** Times in which this process did not run, because other processes used the machine. What was late then is not the service's fault. */
import { setTimeout as sleep } from "node:timers/promises";

export interface Stall {
  /** As performance.now() has it, ms. */
  from: number;
  until: number;
}

const TICK_MS = 20;
/** Shorter ones are any scheduler's. */
const LEAST_MS = 100;

/** Adds to `stalls` until the returned function is called. A time in which the process itself computed for half of it does not count. */
export function watchStalls(stalls: Stall[]): () => void {
  let last = performance.now();
  let lastCpu = process.cpuUsage();
  const timer = setInterval(() => {
    const now = performance.now();
    const { user, system } = process.cpuUsage(lastCpu);
    const length = now - last - TICK_MS;
    if (length >= LEAST_MS && (user + system) / 1_000 < length / 2) stalls.push({ from: last, until: now });
    last = now;
    lastCpu = process.cpuUsage();
  }, TICK_MS);
  return () => clearInterval(timer);
}

/** How long work took, ms: without the times in which this process did not run. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const stalls: Stall[] = [];
  const end = watchStalls(stalls);
  const from = performance.now();
  try {
    await work();
    const until = performance.now();
    // A stall is seen at the next tick.
    await sleep(2 * TICK_MS);
    return stalls.reduce(
      (took, stall) => took - Math.max(0, Math.min(stall.until, until) - Math.max(stall.from, from)),
      until - from,
    );
  } finally {
    end();
  }
}

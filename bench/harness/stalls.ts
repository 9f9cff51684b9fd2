/** Times in which this process did not run, because other processes used the machine. What was late then is not the service's fault. */
import { setTimeout as sleep } from "node:timers/promises";

export interface Stall {
  /** As performance.now() has it, ms. */
  from: number;
  until: number;
}

/** What is known of this process: the time and the CPU time that it used, ms. */
export interface Process {
  now(): number;
  cpu(): number;
  /** Calls `then` each `ms`, until the returned function is called. */
  every(ms: number, then: () => void): () => void;
}

const thisProcess: Process = {
  now: () => performance.now(),
  cpu() {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  },
  every(ms, then) {
    const timer = setInterval(then, ms);
    return () => clearInterval(timer);
  },
};

const TICK_MS = 20;
/** Shorter ones are any scheduler's. */
const LEAST_MS = 100;

/** Adds to `stalls` until the returned function is called. A time in which the process itself computed for half of it does not count. */
export function watchStalls(stalls: Stall[], { now, cpu, every }: Process = thisProcess): () => void {
  let last = now();
  let lastCpu = cpu();
  return every(TICK_MS, () => {
    const until = now();
    const length = until - last - TICK_MS;
    if (length >= LEAST_MS && cpu() - lastCpu < length / 2) stalls.push({ from: last, until });
    last = until;
    lastCpu = cpu();
  });
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

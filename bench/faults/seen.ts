import { setTimeout as sleep } from "node:timers/promises";

const SEEN_MS = 30_000;

/** A stroke that nobody sees is none: it ends the run, so that it is never counted as one that broke nothing. */
export async function untilSeen(what: string, isSeen: () => boolean | Promise<boolean>): Promise<void> {
  for (const until = performance.now() + SEEN_MS; performance.now() < until; await sleep(10))
    if (await isSeen()) return;
  throw new Error(`the fault did nothing: nobody saw ${what}`);
}

/** Removes what a bench has started or made, also when it fails or a signal ends it. */
import { constants } from "node:os";

type End = () => Promise<unknown>;

const pending = new Set<End>();

/** Returns `end` so that it runs once, however often it is called. If nobody calls it, a signal does. */
export function atEnd(end: End): () => Promise<void> {
  let ending: Promise<unknown> | undefined;
  const once = async () => {
    pending.delete(once);
    ending ??= end();
    await ending;
  };
  pending.add(once);
  return once;
}

/** Runs `work`; each function that it hands to `later` is called afterwards, the last first. */
export async function withCleanup<T>(work: (later: (end: End) => void) => Promise<T>): Promise<T> {
  const ends: End[] = [];
  try {
    return await work((end) => void ends.push(end));
  } finally {
    // One after the other: a database can be dropped only when its server has ended.
    for (const end of ends.reverse()) await end().catch((error) => console.error(error));
  }
}

const last = () => [...pending].at(-1);

/** Removes all that is left, the last first. What is made meanwhile is removed too. */
export async function cleanUp(): Promise<void> {
  for (let end = last(); end; end = last()) await end().catch((error) => console.error(error));
}

let isCleaning = false;

/**
 * From now on, signals such as Ctrl-C clean up first, and further ones change nothing: whoever sends one to a group of processes is told to
 * a process twice, once by the one that started it.
 */
export function cleanUpOnSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, async () => {
      if (isCleaning) return;
      isCleaning = true;
      console.error(`${signal}: cleaning up`);
      await cleanUp();
      process.exit(128 + constants.signals[signal]);
    });
}

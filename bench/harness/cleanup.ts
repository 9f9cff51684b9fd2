/** What a bench starts or makes, it ends and removes: also when it fails, also when a signal ends it. */
import { constants } from "node:os";

type End = () => Promise<unknown>;

const pending = new Set<End>();

/** The same `end`, done once however often it is called: by whoever gets it back, or else when a signal comes. */
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

/** Ends and removes all that is left, the last first, and what whoever is still at work makes meanwhile. */
export async function cleanUp(): Promise<void> {
  for (let end = last(); end; end = last()) await end().catch((error) => console.error(error));
}

/** From now on Ctrl-C and the like clean up first. In a test file this is the runner's time limit. */
export function cleanUpOnSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, async () => {
      console.error(`${signal}: cleaning up`);
      await cleanUp();
      process.exit(128 + constants.signals[signal]);
    });
}

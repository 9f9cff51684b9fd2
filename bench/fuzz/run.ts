/** What the layers share: one check of fast-check's, how it is counted, and how a failure is told. */
import { AssertionError } from "node:assert";
import fc from "fast-check";
import type { Scratch } from "../harness/scratch.ts";
import { type Stall, watchStalls } from "../harness/stalls.ts";

export type Layer = "http" | "socket" | "sql";

/** How often what was answered. */
export interface Tally {
  count(what: string, result: string, outcome?: string, refused?: string, ms?: number): void;
  done(): number;
  counts: Map<string, Map<string, number>>;
  outcomes: Map<string, number>;
  /** Why requests had to be refused, and were. */
  refused: Map<string, number>;
  slowest(): { ms: number; what: string };
  /** Adds what another one counted. */
  add(other: Tally): void;
}

export function createTally(): Tally {
  const counts = new Map<string, Map<string, number>>();
  const outcomes = new Map<string, number>();
  const refused = new Map<string, number>();
  const plus = (map: Map<string, number>, key: string, n = 1) => map.set(key, (map.get(key) ?? 0) + n);
  let slowest = { ms: 0, what: "" };
  let done = 0;
  return {
    counts,
    outcomes,
    refused,
    done: () => done,
    slowest: () => slowest,
    add(other) {
      done += other.done();
      for (const [what, results] of other.counts)
        for (const [result, n] of results) {
          const ours = counts.get(what) ?? new Map<string, number>();
          counts.set(what, plus(ours, result, n));
        }
      for (const [outcome, n] of other.outcomes) plus(outcomes, outcome, n);
      for (const [why, n] of other.refused) plus(refused, why, n);
      if (other.slowest().ms > slowest.ms) slowest = other.slowest();
    },
    count(what, result, outcome, why, ms = 0) {
      done += 1;
      const results = counts.get(what) ?? new Map<string, number>();
      counts.set(what, plus(results, result));
      if (outcome) plus(outcomes, outcome);
      if (why) plus(refused, why);
      if (ms > slowest.ms) slowest = { ms: Math.round(ms), what };
    },
  };
}

/** What a layer is to do. */
export interface Task {
  seed: number;
  inputs: number;
  tally: Tally;
  /** Makes a bug in the database, for the fuzzer's own tests. */
  plant?: (database: Scratch) => Promise<void>;
  /** How long the smallest input is looked for, at most, in ms. */
  shrinkMs?: number;
}

/** What was found, with the smallest input that still shows it. */
export class Found extends Error {
  override readonly name = "Found";
}

const SHRINK_MS = 30_000;

/** Tries values until the task's inputs are used up; then all must be as it should. Throws a Found. */
export async function checkedRun<T>(
  layer: Layer,
  { seed, inputs, shrinkMs = SHRINK_MS }: Task,
  run: {
    values: fc.Arbitrary<T>;
    /** Returns how many inputs this value was. */
    attempt: (value: T) => Promise<number>;
    atEnd: () => Promise<void>;
    shown?: (value: T) => string;
  },
): Promise<void> {
  const { values, attempt, atEnd, shown = (value) => JSON.stringify(value, null, 2) } = run;
  const again = `again: ./sd fuzz --layer ${layer} --seed ${seed} --inputs ${inputs}`;
  let left = inputs;
  let failedAt = 0;
  const result = await fc.check(
    fc.asyncProperty(values, async (value) => {
      if (left <= 0 || (failedAt > 0 && performance.now() - failedAt > shrinkMs)) return;
      try {
        left -= await attempt(value);
      } catch (error) {
        failedAt ||= performance.now();
        throw error;
      }
    }),
    { seed, numRuns: inputs },
  );
  if (result.failed) {
    const [smallest] = result.counterexample ?? [];
    throw new Found(
      `${(result.errorInstance as Error | undefined)?.message ?? "failed"}\n\n${shown(smallest as T).slice(0, 20_000)}\n\n${again}`,
      { cause: result.errorInstance },
    );
  }
  try {
    await atEnd();
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error;
    throw new Found(`when all was done: ${error.message}\n\n${again}`, { cause: error });
  }
}

/** Longest that this process may stand still, ms: beyond it, it misses the service's own deadlines of a second and more. */
const HELD_UP_MS = 300;
const ATTEMPTS = 10;

/** What a machine that is held up can bring about: an answer that took too long, or that says so. */
const IS_LATE = /: took \d+ ms| 503[: ]|: (55P03|57014) /;

/**
 * Runs one seed's inputs, and once more when an answer was late while others kept the machine from running us. What is
 * `expected` to be found is found, late or not.
 */
export async function undisturbed(
  fuzz: (tally: Tally) => Promise<void>,
  tally: Tally,
  say: (line: string) => void,
  expected?: RegExp,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const own = createTally();
    const stalls: Stall[] = [];
    const endWatch = watchStalls(stalls);
    try {
      await fuzz(own);
      tally.add(own);
      return;
    } catch (error) {
      const isLate = error instanceof Found && IS_LATE.test(error.message) && !expected?.test(error.message);
      const longest = Math.max(0, ...stalls.map(({ from, until }) => until - from));
      if (!isLate || longest < HELD_UP_MS || attempt === ATTEMPTS) throw error;
      say(
        `held up for ${Math.round(longest)} ms: once more (${(error as Error).message.split("\n")[0]?.slice(0, 200)})`,
      );
    } finally {
      endWatch();
    }
  }
}

/** All layers, or the one that is named, until the inputs or the time are used up. */
import { withProgress } from "../../server/commands/progress.ts";
import { machine } from "../harness/machine.ts";
import { fuzzHttp, missedBy } from "./http.ts";
import type { Run } from "./report.ts";
import { createTally, Found, type Layer, type Tally, type Task, undisturbed } from "./run.ts";
import { fuzzSockets } from "./sockets.ts";
import { fuzzSql } from "./sql.ts";

/**
 * The layers: their share of the inputs, how many of these one database gets, and how many such databases are at work at once, since much of a
 * run is waiting for leases.
 */
export const layers: Readonly<
  Record<Layer, { run: (task: Task) => Promise<void>; share: number; chunk: number; atOnce: number }>
> = {
  http: { run: fuzzHttp, share: 0.45, chunk: 2_500, atOnce: 2 },
  socket: { run: fuzzSockets, share: 0.05, chunk: 1_000, atOnce: 1 },
  sql: { run: fuzzSql, share: 0.5, chunk: 5_000, atOnce: 2 },
};

/** With so many inputs each operation and each function is asked for something that is right. */
const ENOUGH = 10_000;

export interface Options {
  inputs: number;
  seed: number;
  seconds?: number;
  layer?: Layer | undefined;
}

/** Throws a Found; returns what was counted where nothing was. */
export async function fuzz(
  options: Options & { serverUrl: string },
  say: (line: string) => void,
): Promise<Run> {
  const { inputs, seed, layer, seconds = Number.POSITIVE_INFINITY } = options;
  const began = performance.now();
  const isTime = () => performance.now() - began < seconds * 1000;
  const chosen = layer ? [layer] : (Object.keys(layers) as Layer[]);
  const tallies = Object.fromEntries(chosen.map((each) => [each, createTally()])) as Record<Layer, Tally>;
  const done = () => chosen.reduce((sum, each) => sum + tallies[each].done(), 0);
  await withProgress("inputs", say, async (report) => {
    const timer = setInterval(() => report(Math.min(done(), inputs), inputs), 500);
    try {
      await Promise.all(
        chosen.map((each) =>
          runLayer(
            each,
            { seed, inputs: Math.round(inputs * (layer ? 1 : layers[each].share)), tally: tallies[each] },
            isTime,
            say,
          ),
        ),
      );
    } finally {
      clearInterval(timer);
    }
  });
  if (inputs >= ENOUGH) {
    const all = createTally();
    for (const each of chosen) all.add(tallies[each]);
    const [refused, missed] = [onlyRefused(all), tallies.http ? missedBy(tallies.http) : []];
    if (refused.length > 0) throw new Found(`always refused: ${refused.join(", ")}`);
    if (missed.length > 0) throw new Found(`never asked: ${missed.join(", ")}`);
  }
  return {
    date: new Date().toISOString(),
    seed,
    inputs: done(),
    seconds: Math.round((performance.now() - began) / 1000),
    machine: await machine(options.serverUrl),
    layers: Object.fromEntries(chosen.map((each) => [each, figuresOf(tallies[each])])),
  };
}

/** All inputs of a layer, a database after the other; each has a seed of its own, the first one the run's. */
async function runLayer(
  layer: Layer,
  { seed, inputs, tally }: Task,
  isTime: () => boolean,
  say: (line: string) => void,
): Promise<void> {
  const { run, chunk, atOnce } = layers[layer];
  let next = 0;
  const work = async () => {
    while (next * chunk < inputs && isTime()) {
      const index = next++;
      const own = (seed + index * 7_919) % 2 ** 31;
      await undisturbed(
        (counts) => run({ seed: own, inputs: Math.min(chunk, inputs - index * chunk), tally: counts }),
        tally,
        say,
      );
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

/** Nothing is sent to a webhook in a run, so that none has an event to be sent again. */
const IDLE = "POST /webhooks/{webhook_name}/resend";

/** Operations and functions that never did what they are for. */
export function onlyRefused({ counts }: Tally): string[] {
  const isOurs = (what: string) => /^([A-Z]+ \/.*|\w+)$/.test(what);
  const isRight = (result: string) => /^(rows|2\d\d)$/.test(result);
  return [...counts]
    .filter(([what, results]) => isOurs(what) && what !== IDLE && ![...results.keys()].some(isRight))
    .map(([what]) => what);
}

function figuresOf(tally: Tally): Run["layers"][string] {
  const sorted = (map: Map<string, number>) =>
    Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
  return {
    inputs: tally.done(),
    counts: Object.fromEntries(
      [...tally.counts]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([what, results]) => [what, sorted(results)]),
    ),
    outcomes: sorted(tally.outcomes),
    refused: sorted(tally.refused),
    slowest: tally.slowest(),
  };
}

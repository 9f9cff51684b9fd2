/** ./sd fuzz: inputs that nobody should send, until all are used up. The exit status is 1 where something was found, 2 where it could not run. */
import { parseArgs } from "node:util";
import { withProgress } from "../../db/progress.ts";
import { machine } from "../machine.ts";
import { fuzzHttp, missedBy } from "./http.ts";
import { keep, type Result, render } from "./report.ts";
import { createTally, Found, type Layer, type Tally, type Task, undisturbed } from "./run.ts";
import { fuzzSockets } from "./sockets.ts";
import { fuzzSql } from "./sql.ts";

const USAGE = `usage: ./sd fuzz [--inputs N] [--seed N] [--seconds N] [--layer http|socket|sql] [--keep]

  --inputs N    so many in all, a million without it
  --seconds N   ends sooner than that
  --seed N      the same inputs again; at random without it, and said
  --layer …     one of them alone
  --keep        writes what was counted to bench/fuzz/results.json and bench/README.md`;

/**
 * The layers: their share of the inputs, how many of these one database gets, and how many such databases are at work at once, since much of a
 * run is waiting for leases.
 */
const layers: Readonly<
  Record<Layer, { fuzz: (task: Task) => Promise<void>; share: number; chunk: number; atOnce: number }>
> = {
  http: { fuzz: fuzzHttp, share: 0.45, chunk: 2_500, atOnce: 2 },
  socket: { fuzz: fuzzSockets, share: 0.05, chunk: 1_000, atOnce: 1 },
  sql: { fuzz: fuzzSql, share: 0.5, chunk: 5_000, atOnce: 2 },
};

interface Options {
  inputs: number;
  seed: number;
  seconds: number;
  layer: Layer | undefined;
  keep: boolean;
}

function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      inputs: { type: "string", default: "1000000" },
      seed: { type: "string", default: `${Math.floor(Math.random() * 1e9)}` },
      seconds: { type: "string", default: "86400" },
      layer: { type: "string" },
      keep: { type: "boolean", default: false },
    },
  });
  const { layer } = values;
  if (layer !== undefined && !Object.hasOwn(layers, layer)) throw new Error(USAGE);
  const [inputs = 0, seed = 0, seconds = 0] = [values.inputs, values.seed, values.seconds].map((text) =>
    /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN,
  );
  if (!(inputs > 0 && seed >= 0 && seconds > 0)) throw new Error(USAGE);
  return { inputs, seed, seconds, layer: layer as Layer | undefined, keep: values.keep };
}

/** All inputs of a layer, a database after the other; each has a seed of its own, the first one the run's. */
async function run(
  layer: Layer,
  inputs: number,
  { seed, seconds }: Options,
  tally: Tally,
  began: number,
): Promise<void> {
  const { fuzz, chunk, atOnce } = layers[layer];
  let next = 0;
  const work = async () => {
    while (next * chunk < inputs && performance.now() - began < seconds * 1000) {
      const index = next++;
      const own = (seed + index * 7_919) % 2 ** 31;
      await undisturbed(
        (counts) => fuzz({ seed: own, inputs: Math.min(chunk, inputs - index * chunk), tally: counts }),
        tally,
        (line) => console.log(line),
      );
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

try {
  const options = readOptions(process.argv.slice(2));
  const serverUrl = process.env["SCRATCH_SERVER_URL"];
  if (!serverUrl) throw new Error("run this through ./sd: SCRATCH_SERVER_URL is not set");
  const { inputs, seed, layer } = options;
  console.log(`seed ${seed}`);
  const began = performance.now();
  const chosen = layer ? [layer] : (Object.keys(layers) as Layer[]);
  const tallies = Object.fromEntries(chosen.map((each) => [each, createTally()])) as Record<Layer, Tally>;
  const done = () => chosen.reduce((sum, each) => sum + tallies[each].done(), 0);
  await withProgress(
    "inputs",
    (line) => console.log(line),
    async (report) => {
      const timer = setInterval(() => report(Math.min(done(), inputs), inputs), 500);
      try {
        await Promise.all(
          chosen.map((each) =>
            run(each, Math.round(inputs * (layer ? 1 : layers[each].share)), options, tallies[each], began),
          ),
        );
      } finally {
        clearInterval(timer);
      }
    },
  );
  const result: Result = {
    date: new Date().toISOString(),
    seed,
    inputs: done(),
    seconds: Math.round((performance.now() - began) / 1000),
    machine: await machine(serverUrl),
    layers: Object.fromEntries(chosen.map((each) => [each, figuresOf(tallies[each])])),
  };
  console.log(`\n${render(result)}\n`);
  const missed = tallies.http ? missedBy(tallies.http) : [];
  if (missed.length > 0 && inputs >= 10_000) throw new Found(`never asked: ${missed.join(", ")}`);
  if (options.keep) keep(result);
} catch (error) {
  const { message, stack } = error as Error;
  const isExpected = error instanceof Found || message === USAGE;
  console.error(`fuzz: ${isExpected ? message : stack}`);
  process.exit(error instanceof Found ? 1 : 2);
}

function figuresOf(tally: Tally): Result["layers"][string] {
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

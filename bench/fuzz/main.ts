/** ./sd fuzz: inputs that nobody should send, until all are used up. The exit status is 1 where something was found, 2 where it could not run. */
import { parseArgs } from "node:util";
import { fuzz, layers } from "./fuzz.ts";
import { keep, render, sumsOf } from "./report.ts";
import { Found, type Layer } from "./run.ts";

const USAGE = `usage: ./sd fuzz [--inputs N] [--seed N] [--seconds N] [--layer http|socket|sql] [--keep]

  --inputs N    so many in all, a million without it
  --seconds N   ends sooner than that
  --seed N      the same inputs again; at random without it, and said
  --layer …     one of them alone
  --keep        writes what was counted to bench/fuzz/results.json and bench/README.md`;

function readOptions(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      inputs: { type: "string", default: "1000000" },
      seed: { type: "string", default: `${Math.floor(Math.random() * 1e9)}` },
      seconds: { type: "string", default: "86400" },
      layer: { type: "string" },
      keep: { type: "boolean", default: false },
    },
  });
  const { layer } = values;
  if (positionals.length > 0) throw new Error(USAGE);
  if (layer !== undefined && !Object.hasOwn(layers, layer)) throw new Error(USAGE);
  const [inputs = 0, seed = 0, seconds = 0] = [values.inputs, values.seed, values.seconds].map((text) =>
    /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN,
  );
  if (!(inputs > 0 && seed >= 0 && seconds > 0)) throw new Error(USAGE);
  return { inputs, seed, seconds, layer: layer as Layer | undefined, isKept: values.keep };
}

try {
  const { isKept, ...options } = readOptions(process.argv.slice(2));
  const serverUrl = process.env["SCRATCH_SERVER_URL"];
  if (!serverUrl) throw new Error("run this through ./sd: SCRATCH_SERVER_URL is not set");
  console.log(`seed ${options.seed}`);
  const run = await fuzz({ ...options, serverUrl }, (line) => console.log(line));
  console.log(`\n${render(run)}\n`);
  if (isKept) keep(sumsOf(run));
} catch (error) {
  const { message, stack } = error as Error;
  const isExpected = error instanceof Found || message === USAGE;
  console.error(`fuzz: ${isExpected ? message : stack}`);
  process.exit(error instanceof Found ? 1 : 2);
}

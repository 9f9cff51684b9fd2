/** Faults one after the other, and the planted bugs: what ./sd faults does, and its test in short. */
import { type Assault, assault } from "./assault.ts";
import { INVARIANTS, noneChecked, type Violation } from "./checker/check.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { CALLS, faults } from "./faults.ts";
import { bugs, foundWith } from "./planted.ts";
import type { Results } from "./report.ts";
import { rowOf } from "./row.ts";
import { type Trial, trial, unmadeOf } from "./trial.ts";
import { tellWrong } from "./wrong.ts";

/** How much of each. */
export interface Length {
  /** Strokes of each fault. */
  strokes: number;
  /** Requests while calls fail by chance. */
  requests: number;
  /** Seeds with which each bug is planted. */
  seeds: number;
  /** Inputs of the fuzzer. */
  inputs: number;
  isShort: boolean;
}

export const LENGTHS: Record<Results["length"], Length> = {
  short: { strokes: 2, requests: 2_000, seeds: 0, inputs: 5_000, isShort: true },
  usual: { strokes: 6, requests: 20_000, seeds: 3, inputs: 100_000, isShort: false },
  long: { strokes: 200, requests: 500_000, seeds: 50, inputs: 1_000_000, isShort: false },
};

export const PLANTED = "planted bugs";
export const names = [CALLS.name, ...faults.map(({ name }) => name), PLANTED];

export type Found = Pick<Results, "rows" | "skipped" | "planted" | "checked"> & { violations: Violation[] };

type Say = (line: string) => void;

/** Runs what `wanted` says. A violation goes to `say`, with a file of the history. */
export async function campaign(
  wanted: ReadonlySet<string>,
  seed: number,
  { strokes, requests, seeds, isShort }: Length,
  say: Say,
): Promise<Found> {
  const found: Found = { rows: [], skipped: [], planted: {}, checked: noneChecked(), violations: [] };
  if (wanted.has(CALLS.name)) {
    const run = await trial({ seed, requests });
    const unmade = unmadeOf(run);
    if (unmade.length > 0) throw new Error(`calls that never failed: ${unmade}`);
    const made = Object.values(run.made).reduce((sum, times) => sum + times, 0);
    await judge(found, CALLS.name, made, run, say);
  }
  await withSharedCluster(async (shared) => {
    for (const fault of faults.filter(({ name }) => wanted.has(name))) {
      const needs = await fault.needs?.();
      if (needs === undefined)
        await judge(
          found,
          fault.name,
          strokes,
          await assault(fault, { seed, strokes, isShort }, shared),
          say,
        );
      else {
        found.skipped.push({ fault: fault.name, needs });
        say(`${fault.name}: skipped: needs ${needs}`);
      }
    }
  });
  if (wanted.has(PLANTED) && seeds > 0) await plantBugs(found, seed, seeds, say);
  return found;
}

async function withSharedCluster(work: (shared: () => Promise<Cluster>) => Promise<void>): Promise<void> {
  let cluster: Promise<Cluster> | undefined;
  try {
    await work(() => {
      cluster ??= startCluster();
      return cluster;
    });
  } finally {
    await (await cluster)?.close();
  }
}

/** Adds a run to what was found, and says what it came to. */
async function judge(
  found: Found,
  name: string,
  times: number,
  run: Trial | Assault,
  say: Say,
): Promise<void> {
  const { violations, checked } = run.verdict;
  const row = rowOf(name, times, violations, run.history);
  found.rows.push(row);
  for (const invariant of INVARIANTS) found.checked[invariant] += checked[invariant];
  say(
    `${name}: ${times} times, ${row.requests} requests, ${row.acknowledged} acknowledged, ${row.unknown} unknown, ` +
      `lost ${row.lost}, over-issued ${row.overIssued}, other ${row.other}` +
      (row.recovery === undefined ? "" : `, recovery ${row.recovery.toFixed(2)} s`),
  );
  found.violations.push(...violations);
  await tellWrong(name, run, "./sd faults", say);
}

/** Each bug with each seed. Most show by chance; one that is found with none of them is a violation. */
async function plantBugs(found: Found, seed: number, seeds: number, say: Say): Promise<void> {
  for (const bug of bugs) {
    const { name, breaks } = bug;
    let times = 0;
    for (let i = 0; i < seeds; i++) {
      const broken = await foundWith(bug, seed + i);
      if (breaks.every((invariant) => broken.has(invariant))) times += 1;
    }
    if (times === 0)
      found.violations.push({
        invariant: breaks[0] as Violation["invariant"],
        detail: `${name} was not found`,
      });
    found.planted[name] = { times: seeds, found: times };
    say(`planted ${name}: found ${times} of ${seeds} times`);
  }
}

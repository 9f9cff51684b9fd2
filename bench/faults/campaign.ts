/** Faults one after the other, and the planted bugs: what ./sd faults does, and its test in short. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Assault, assault } from "./assault.ts";
import { noneChecked, type Violation } from "./checker/check.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { type Fault, faults } from "./faults.ts";
import { bugs } from "./planted.ts";
import { type Results, type Row, rowOf } from "./report.ts";
import { type Trial, trial } from "./trial.ts";

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

/** Not a stroke at a time but for each call: within this process, by flaky.ts. */
export const CALLS = {
  name: "calls fail",
  about:
    "of the server's calls one in five fails, by chance: before it is sent, before its commit, between commit and reply; or it is done twice, late or slowly",
};

export const names = [CALLS.name, ...faults.map(({ name }) => name), "planted bugs"];

export type Found = Pick<Results, "rows" | "skipped" | "planted" | "checked"> & { violations: Violation[] };

/** Runs what `wanted` says. A violation goes to `say`, with a file of the history. */
export async function campaign(
  wanted: ReadonlySet<string>,
  seed: number,
  { strokes, requests, seeds, isShort }: Length,
  say: (line: string) => void,
): Promise<Found> {
  const found: Found = {
    rows: [],
    skipped: [],
    planted: [],
    checked: noneChecked(),
    violations: [],
  };
  let shared: Promise<Cluster> | undefined;
  const sharing = () => {
    shared ??= startCluster();
    return shared;
  };

  async function judge(
    what: { name: string; about: string },
    times: number,
    run: Trial | Assault,
  ): Promise<void> {
    const row: Row = rowOf(what, times, run);
    found.rows.push(row);
    for (const [name, count] of Object.entries(run.verdict.checked))
      found.checked[name as keyof Found["checked"]] += count;
    say(
      `${what.name}: ${times} times, ${row.requests} requests, ${row.acknowledged} acknowledged, ${row.unknown} unknown, ` +
        `lost ${row.lost}, over-issued ${row.overIssued}, other ${row.other}` +
        (row.recovery === undefined ? "" : `, recovery ${row.recovery.toFixed(2)} s`),
    );
    const { violations } = run.verdict;
    if (violations.length === 0) return;
    found.violations.push(...violations);
    for (const { invariant, detail } of violations.slice(0, 10)) say(`  WRONG ${invariant}: ${detail}`);
    const file = join(await mkdtemp(join(tmpdir(), "faults-history-")), `${what.name}.json`);
    const counts = [...run.history.counts];
    await writeFile(file, JSON.stringify({ ...run.history, counts, state: run.state, violations }, null, 1));
    say(
      `  ${violations.length} violations; again with: ./sd faults --seed ${seed} '${what.name}'; history: ${file}`,
    );
  }

  try {
    if (wanted.has(CALLS.name)) {
      const run = await trial({ seed, requests });
      const unmade = Object.entries(run.made).filter(([, times]) => times === 0);
      if (unmade.length > 0) throw new Error(`calls that never failed: ${unmade.map(([kind]) => kind)}`);
      await judge(
        CALLS,
        Object.values(run.made).reduce((sum, times) => sum + times, 0),
        run,
      );
    }
    for (const fault of faults.filter(({ name }) => wanted.has(name))) {
      const needs = await fault.needs?.();
      if (needs === undefined) await judge(fault, strokes, await strike(fault));
      else {
        found.skipped.push({ fault: fault.name, needs });
        say(`${fault.name}: skipped: needs ${needs}`);
      }
    }
    if (wanted.has("planted bugs") && seeds > 0)
      for (const { name, about, breaks, plant, ...given } of bugs) {
        let times = 0;
        for (let i = 0; i < seeds; i++) {
          const { verdict } = await trial({
            restocks: false,
            ...given,
            seed: seed + i,
            requests: 1_000,
            plant,
          });
          const broken = new Set(verdict.violations.map(({ invariant }) => invariant));
          if (breaks.every((invariant) => broken.has(invariant))) times += 1;
          else
            found.violations.push({
              invariant: breaks[0] as Violation["invariant"],
              detail: `${name} was not found`,
            });
        }
        found.planted.push({ bug: name, about, breaks, times: seeds, found: times });
        say(`planted ${name}: found ${times} of ${seeds} times`);
      }
  } finally {
    await (await shared)?.close();
  }
  return found;

  function strike(fault: Fault): Promise<Assault> {
    return assault(fault, { seed, strokes, isShort }, sharing);
  }
}

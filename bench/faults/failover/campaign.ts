/** Faults of a cluster one after the other, and the planted bugs: what ./sd faults --cluster does. */
import type { Cluster } from "../../../server/cluster/cluster.ts";
import { PLANTED } from "../campaign.ts";
import type { Violation } from "../checker/check.ts";
import { rowOf } from "../row.ts";
import { tellWrong } from "../wrong.ts";
import { clusterFaults, faultNamed } from "./kinds.ts";
import { clusterBugs, plantIn } from "./planted.ts";
import type { ClusterResults, ClusterRow } from "./report.ts";
import { besiege, type Siege } from "./siege.ts";

/** How much of each. */
interface ClusterLength {
  /** Strokes of each fault; of the control one. */
  strokes: number;
  /** How often each bug is planted, each time with another seed. */
  seeds: number;
  isShort: boolean;
}

export const CLUSTER_LENGTHS: Record<ClusterResults["length"], ClusterLength> = {
  short: { strokes: 1, seeds: 0, isShort: true },
  usual: { strokes: 2, seeds: 1, isShort: false },
  long: { strokes: 20, seeds: 5, isShort: false },
};

export const clusterNames = [...clusterFaults.map(({ name }) => name), PLANTED];

type ClusterFound = Pick<ClusterResults, "rows" | "skipped" | "planted"> & {
  violations: Violation[];
  /** What ended the campaign early, if something did: what was found before is here. */
  failure?: unknown;
};

type Say = (line: string) => void;

/** Runs what `wanted` says. A violation goes to `say`, with a file of the history. */
export async function clusterCampaign(
  cluster: Cluster,
  wanted: ReadonlySet<string>,
  seed: number,
  { strokes, seeds, isShort }: ClusterLength,
  say: Say,
): Promise<ClusterFound> {
  const found: ClusterFound = { rows: [], skipped: [], planted: [], violations: [] };
  for (const fault of clusterFaults.filter(({ name }) => wanted.has(name))) {
    const needs = await fault.needs?.();
    if (needs !== undefined) {
      found.skipped.push({ fault: fault.name, needs });
      say(`${fault.name}: skipped: needs ${needs}`);
      continue;
    }
    const times = fault.isControl ? 1 : strokes;
    const siege = await besiege(fault, cluster, { seed, strokes: times, isShort }).catch(
      (failure: unknown) => {
        found.failure = failure;
      },
    );
    if (!siege) {
      say(`${fault.name}: could not be run: ${(found.failure as Error).message}`);
      return found;
    }
    const row = clusterRowOf(fault.name, times, siege);
    found.rows.push(row);
    say(sentenceOf(row, fault.gap));
    if (!fault.isControl) {
      found.violations.push(...siege.verdict.violations);
      await tellWrong(fault.name, siege, "./sd faults --cluster", say);
    } else if (row.lost === 0)
      found.violations.push({
        invariant: "grant_is_kept",
        detail: "the control lost nothing: the checker sees nothing",
      });
  }
  if (wanted.has(PLANTED))
    for (const bug of clusterBugs) {
      if (seeds === 0) break;
      let times = 0;
      for (let i = 0; i < seeds; i++) if (await isFound(cluster, bug, seed + i, say)) times += 1;
      found.planted.push({ bug: bug.name, times: seeds, found: times });
      say(`planted ${bug.name}: found ${times} of ${seeds} times`);
      if (times < seeds)
        found.violations.push({
          invariant: bug.breaks[0] as Violation["invariant"],
          detail: `${bug.name} was not found`,
        });
    }
  return found;
}

function clusterRowOf(fault: string, times: number, { verdict, history, figures }: Siege): ClusterRow {
  return { ...rowOf(fault, times, verdict.violations, history), ...figures };
}

function sentenceOf(row: ClusterRow, bar: number | undefined): string {
  return (
    `${row.fault}: ${row.times} times, ${row.requests} requests, ${row.acknowledged} acknowledged, ${row.unknown} unknown, ` +
    `lost ${row.lost}, over-issued ${row.overIssued}, wrong refusals ${row.wrongRefusals}, other ${row.other}, ` +
    `later than 8 s ${row.late}, no 201 for ${row.gap.toFixed(2)} s${bar === undefined ? "" : ` (at most ${bar})`}, found after ${row.found.toFixed(2)} s, ` +
    `/readyz wrong for ${Math.max(row.ready, row.unready).toFixed(2)} s`
  );
}

/** Whether the checker finds all that the bug breaks. */
export async function isFound(
  cluster: Cluster,
  bug: (typeof clusterBugs)[number],
  seed: number,
  say: Say,
): Promise<boolean> {
  const plant = (where: Cluster) => plantIn(where, bug);
  const { verdict } = await besiege(faultNamed(bug.fault), cluster, {
    seed,
    strokes: 1,
    isShort: true,
    plant,
  });
  const broken = new Set(verdict.violations.map(({ invariant }) => invariant));
  const isAll = bug.breaks.every((invariant) => broken.has(invariant));
  if (!isAll) say(`  of ${bug.name}, ${bug.fault} showed ${[...broken].join(", ") || "nothing"}`);
  return isAll;
}

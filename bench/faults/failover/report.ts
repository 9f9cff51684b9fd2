/** What a run on a cluster found: as a table, as the results that are kept, and as the README's blocks that are made of them. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { compactJson } from "../../harness/compact-json.ts";
import { type Machine, nameOf } from "../../harness/machine.ts";
import { withBlock } from "../../harness/readme-blocks.ts";
import { table } from "../../report/report.ts";
import type { Row } from "../row.ts";
import { FOUND, READY } from "./fault.ts";
import type { Figures } from "./figures.ts";
import { clusterFaults } from "./kinds.ts";
import { clusterBugs } from "./planted.ts";

export type ClusterRow = Row & Figures;

export interface ClusterResults {
  date: string;
  seed: number;
  seconds: number;
  length: "short" | "usual" | "long";
  machine: Machine;
  rows: ClusterRow[];
  skipped: { fault: string; needs: string }[];
  planted: { bug: string; times: number; found: number }[];
}

const RESULTS = new URL("results.json", import.meta.url);
export const CLUSTER_README = new URL("README.md", import.meta.url);

const HEAD = [
  ...["fault", "times", "requests", "acknowledged", "not done", "unknown", "lost", "over-issued"],
  ...[
    "wrong refusals",
    "other",
    "later than 8 s",
    "no 201, s",
    "at most",
    "found, s",
    "200 wrongly, s",
    "at most",
    "503 wrongly, s",
  ],
];

export function renderClusterRows(rows: readonly ClusterRow[]): string {
  const n = (value: number) => value.toLocaleString("en");
  return table(
    HEAD,
    rows.map((row) => [
      row.fault,
      ...[row.times, row.requests, row.acknowledged, row.undone, row.unknown].map(n),
      ...[row.lost, row.overIssued, row.wrongRefusals, row.other, row.late].map(n),
      row.gap.toFixed(2),
      barOf(row)?.toString() ?? "",
      row.found.toFixed(2),
      ...[row.ready.toFixed(2), `${readyBarOf(row)}`, row.unready.toFixed(2)],
    ]),
  );
}

const faultOf = ({ fault }: Row) => clusterFaults.find(({ name }) => name === fault);
const barOf = (row: Row) => faultOf(row)?.gap;
const readyBarOf = (row: Row) => faultOf(row)?.ready ?? READY;

/** The bars on time that a row misses, in words. They depend on the machine, so that a missed one is told and is no violation. */
export function missedBars(rows: readonly ClusterRow[]): string[] {
  return rows
    .filter((row) => !faultOf(row)?.isControl)
    .flatMap((row) => {
      const bar = barOf(row);
      const wrongly = (status: number, seconds: number, most: number) =>
        seconds > most
          ? [`${row.fault}: \`/readyz\` wrongly ${status} for ${seconds.toFixed(2)} s, at most ${most} s`]
          : [];
      return [
        ...(bar !== undefined && row.gap > bar
          ? [`${row.fault}: no 201 for ${row.gap.toFixed(2)} s, at most ${bar} s`]
          : []),
        ...(row.found > FOUND
          ? [`${row.fault}: the primary was found after ${row.found.toFixed(2)} s, at most ${FOUND} s`]
          : []),
        ...wrongly(200, row.ready, readyBarOf(row)),
        ...wrongly(503, row.unready, READY),
        ...(row.late > 0 ? [`${row.fault}: ${row.late} answers later than 8 s`] : []),
      ];
    });
}

export function readClusterResults(): ClusterResults | undefined {
  return existsSync(RESULTS) ? JSON.parse(readFileSync(RESULTS, "utf8")) : undefined;
}

/** Keeps the results, and makes the README anew. */
export function keepClusterResults(results: ClusterResults): void {
  writeFileSync(RESULTS, `${compactJson(results)}\n`);
  const readme = readFileSync(CLUSTER_README, "utf8");
  writeFileSync(
    CLUSTER_README,
    Object.entries(clusterBlocks(results)).reduce(
      (text, [name, block]) => withBlock(text, name, block),
      readme,
    ),
  );
}

/** The README's blocks, by their names. */
export function clusterBlocks(results: ClusterResults | undefined): Record<string, string> {
  const about = table(
    ["fault", "what is done", "how each stroke is seen"],
    clusterFaults.map(({ name, about, seen }) => [name, about, seen]),
  );
  const bugs = table(
    ["planted bug", "", "found under", "by", "planted", "found"],
    clusterBugs.map(({ name, about, fault, breaks }) => {
      const kept = results?.planted.find(({ bug }) => bug === name);
      const counts = kept ? [String(kept.times), String(kept.found)] : ["not yet", ""];
      return [name, about, fault, breaks.map((each) => `\`${each}\``).join(", "), ...counts];
    }),
  );
  return {
    "cluster-faults": about,
    "cluster-bugs": bugs,
    cluster: results ? renderKept(results) : "No run is kept yet.",
  };
}

function renderKept({ date, seed, seconds, length, machine, rows, skipped }: ClusterResults): string {
  const missed = missedBars(rows);
  return [
    `${date.slice(0, 10)}, ${length} run with seed ${seed}, ${(seconds / 60).toFixed(0)} minutes on ${nameOf(machine)}.`,
    renderClusterRows(rows),
    missed.length > 0
      ? `Missed:\n\n${missed.map((line) => `- ${line}`).join("\n")}`
      : "No bar on time is missed.",
    ...(skipped.length > 0
      ? [skipped.map(({ fault, needs }) => `- **${fault}**: skipped: needs ${needs}`).join("\n")]
      : []),
  ].join("\n\n");
}

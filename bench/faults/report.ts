/** What a run found: as a table, as the results that are kept, and as the README's blocks that are made of them. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { compactJson } from "../harness/compact-json.ts";
import type { Machine } from "../harness/machine.ts";
import { nameOf } from "../harness/machine.ts";
import { withBlock } from "../harness/readme-blocks.ts";
import { table } from "../report/report.ts";
import { INVARIANTS, type Invariant, PROMISES } from "./checker/check.ts";
import { CALLS, faults } from "./faults.ts";
import { bugs } from "./planted.ts";
import type { Row } from "./row.ts";

export interface Results {
  date: string;
  seed: number;
  seconds: number;
  length: "short" | "usual" | "long";
  machine: Machine;
  rows: Row[];
  /** Faults that could not run, and what they need. */
  skipped: { fault: string; needs: string }[];
  /** How many times each bug was planted, and found. */
  planted: Record<string, { times: number; found: number }>;
  /** How many things each promise was held against in all faults. */
  checked: Record<Invariant, number>;
}

const HEAD = [
  "fault",
  "times",
  "requests",
  "acknowledged",
  "not done",
  "unknown",
  "of them done",
  "lost",
  "over-issued",
  "other",
  "recovery s",
];

export function renderRows(rows: readonly Row[]): string {
  const n = (value: number) => value.toLocaleString("en");
  return table(
    HEAD,
    rows.map((row) => [
      row.fault,
      ...[row.times, row.requests, row.acknowledged, row.undone, row.unknown, row.done].map(n),
      ...[row.lost, row.overIssued, row.other].map(n),
      row.recovery === undefined ? "" : Number.isFinite(row.recovery) ? row.recovery.toFixed(2) : "never",
    ]),
  );
}

const HERE = new URL("./", import.meta.url);
const RESULTS = new URL("results.json", HERE);
export const README = new URL("README.md", HERE);

export function readResults(): Results | undefined {
  return existsSync(RESULTS) ? JSON.parse(readFileSync(RESULTS, "utf8")) : undefined;
}

/** Keeps the results, and makes the README anew. */
export function keepResults(results: Results): void {
  writeFileSync(RESULTS, `${compactJson(results)}\n`);
  const blocks = Object.entries(blocksOf(results));
  const readme = readFileSync(README, "utf8");
  writeFileSync(
    README,
    blocks.reduce((text, [name, block]) => withBlock(text, name, block), readme),
  );
}

/** What the kept run had not yet. */
const NEWER = "not yet";

/** The README's blocks, by their names. */
export function blocksOf(results: Results): Record<string, string> {
  return {
    promises: renderPromises(results),
    bugs: renderBugs(results),
    faults: renderFaults(results),
  };
}

function renderPromises({ checked }: Results): string {
  return table(
    ["promise", "invariant", "planted bug that breaks it", "held against", "broken"],
    INVARIANTS.map((invariant) => [
      PROMISES[invariant].promise,
      `\`${invariant}\``,
      bugs
        .filter(({ breaks }) => breaks.includes(invariant))
        .map(({ name }) => name)
        .join(", ") || "by hand, in the tests of checker/",
      ...(invariant in checked ? [checked[invariant].toLocaleString("en"), "0"] : [NEWER, ""]),
    ]),
  );
}

function renderBugs({ planted }: Results): string {
  return table(
    ["planted bug", "", "planted", "found"],
    bugs.map(({ name, about }) => {
      const kept = planted[name];
      return [name, about, ...(kept ? [String(kept.times), String(kept.found)] : [NEWER, ""])];
    }),
  );
}

function renderFaults({ date, seed, seconds, length, machine, rows, skipped }: Results): string {
  const head = `${date.slice(0, 10)}, ${length} run with seed ${seed}, ${(seconds / 60).toFixed(0)} minutes on ${nameOf(machine)}.`;
  const ran = [CALLS, ...faults].filter(({ name }) => rows.some(({ fault }) => fault === name));
  return [
    head,
    renderRows(rows),
    table(
      ["fault", "what is done", "how each stroke is seen"],
      ran.map(({ name, about, seen }) => [name, about, seen]),
    ),
    ...(skipped.length > 0
      ? [skipped.map(({ fault, needs }) => `- **${fault}**: skipped: needs ${needs}`).join("\n")]
      : []),
  ].join("\n\n");
}

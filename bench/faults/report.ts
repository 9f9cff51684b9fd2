/** What a run found, as a table and as the README's blocks, which are made of bench/faults/results.json and nothing else. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Machine } from "../harness/machine.ts";
import { nameOf } from "../harness/machine.ts";
import { table } from "../report/report.ts";
import { INVARIANTS, type Invariant, PROMISES, type Verdict } from "./checker/check.ts";
import type { Attempt, History } from "./history.ts";

export interface Row {
  fault: string;
  about: string;
  /** Strokes, or calls that were made to fail. */
  times: number;
  requests: number;
  /** Grants, uses and restocks that were acknowledged, each once. */
  acknowledged: number;
  /** Attempts told that nothing was done. */
  undone: number;
  /** Attempts that weren't told what became of them; of the requests that had one, those that turned out to have been done. */
  unknown: number;
  done: number;
  lost: number;
  overIssued: number;
  /** Violations of anything else. */
  other: number;
  /** The longest time until all was well again, s; where there was a time to begin from. */
  recovery?: number;
}

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
  planted: { bug: string; about: string; breaks: Invariant[]; times: number; found: number }[];
  /** How many things each invariant was held against in all faults. */
  checked: Record<Invariant, number>;
}

const LOST: readonly Invariant[] = ["grant_is_kept", "use_is_kept", "restock_is_kept"];
const OVER_ISSUED: readonly Invariant[] = [
  "within_count",
  "counts_agree",
  "one_a_day",
  "one_grant_a_request",
  "used_once",
];

export function rowOf(
  fault: { name: string; about: string },
  times: number,
  { verdict, history }: { verdict: Verdict; history: History },
): Row {
  const { attempts, strokes } = history;
  const keyOf = ({ ask }: Attempt) => Object.values(ask).join(" ");
  const of = (is: Attempt["answer"]["is"]) => attempts.filter(({ answer }) => answer.is === is);
  const acknowledged = new Set(of("ok").map(keyOf));
  const open = new Set(of("unknown").map(({ request }) => request));
  const done = new Set(
    of("ok")
      .filter(({ request, answer }) => open.has(request) && /^(already|un)/.test(answer.outcome))
      .map(({ request }) => request),
  );
  const broken = (invariants: readonly Invariant[]) =>
    verdict.violations.filter(({ invariant }) => invariants.includes(invariant)).length;
  const lost = broken(LOST);
  const overIssued = broken(OVER_ISSUED);
  return {
    fault: fault.name,
    about: fault.about,
    times,
    requests: new Set(attempts.map(({ request }) => request)).size,
    acknowledged: acknowledged.size,
    undone: of("undone").length,
    unknown: of("unknown").length,
    done: done.size,
    lost,
    overIssued,
    other: verdict.violations.length - lost - overIssued,
    ...(strokes.length > 0
      ? { recovery: strokes.reduce((most, { until, wellAt }) => Math.max(most, wellAt - until), 0) / 1_000 }
      : {}),
  };
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
  writeFileSync(RESULTS, `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(README, withResults(readFileSync(README, "utf8"), results));
}

/** The README with what these results say between its markers. */
export function withResults(readme: string, results: Results): string {
  const { date, seed, seconds, length, machine, rows, skipped, planted, checked } = results;
  const head = `${date.slice(0, 10)}, ${length} run with seed ${seed}, ${(seconds / 60).toFixed(0)} minutes on ${nameOf(machine)}.`;
  const faults = [
    head,
    renderRows(rows),
    rows.map(({ fault, about }) => `- **${fault}**: ${about}.`).join("\n"),
    ...(skipped.length > 0
      ? [skipped.map(({ fault, needs }) => `- **${fault}**: skipped: needs ${needs}`).join("\n")]
      : []),
  ].join("\n\n");
  const promises = table(
    ["promise", "invariant", "planted bug that breaks it", "held against", "broken"],
    INVARIANTS.map((invariant) => [
      PROMISES[invariant].promise,
      `\`${invariant}\``,
      planted
        .filter(({ breaks }) => breaks.includes(invariant))
        .map(({ bug }) => bug)
        .join(", ") || "by hand, in the tests of checker/",
      checked[invariant].toLocaleString("en"),
      "0",
    ]),
  );
  const bugs = table(
    ["planted bug", "", "planted", "found"],
    planted.map(({ bug, about, times, found }) => [bug, about, String(times), String(found)]),
  );
  return Object.entries({ promises, bugs, faults }).reduce((text, [name, block]) => {
    const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
    const [from, to] = [text.indexOf(begin), text.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`bench/faults/README.md has no ${begin} … ${end}`);
    return `${text.slice(0, from + begin.length)}\n${block}\n${text.slice(to)}`;
  }, readme);
}

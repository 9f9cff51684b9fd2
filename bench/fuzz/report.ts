/** What a run counted: for the terminal, and the README's block. */
import { readFileSync, writeFileSync } from "node:fs";
import { outcomes } from "../../server/api/outcomes.ts";
import { compactJson } from "../harness/compact-json.ts";
import { type Machine, nameOf } from "../harness/machine.ts";
import { withBlock } from "../harness/readme-blocks.ts";
import { table } from "../report/report.ts";

/** What one run counted, by layer. */
export interface Run extends Omit<Result, "layers" | "outcomes"> {
  layers: Record<
    string,
    {
      inputs: number;
      /** Route × status, function × result. */
      counts: Record<string, Record<string, number>>;
      /** "issue_coupon sold_out": how often. */
      outcomes: Record<string, number>;
      /** Why inputs had to be refused, and were. */
      refused: Record<string, number>;
      slowest: { ms: number; what: string };
    }
  >;
}

/** What is kept of it: sums. */
export interface Result {
  date: string;
  seed: number;
  /** Of all layers. */
  inputs: number;
  seconds: number;
  machine: Machine;
  layers: Record<
    string,
    {
      inputs: number;
      /** By status, or by what a function came to. */
      answers: Record<string, number>;
      slowest: { ms: number; what: string };
    }
  >;
  /** Command × outcome, of all layers. */
  outcomes: Record<string, Record<string, number>>;
}

const RESULTS = new URL("results.json", import.meta.url);
export const README = new URL("../README.md", import.meta.url);

export function readResult(): Result {
  return JSON.parse(readFileSync(RESULTS, "utf8"));
}

export function keep(result: Result): void {
  writeFileSync(RESULTS, `${compactJson(result)}\n`);
  writeFileSync(README, withBlock(readFileSync(README, "utf8"), "fuzz", renderBlock(result)));
}

const byName = ([a]: [string, unknown], [b]: [string, unknown]) => (a < b ? -1 : 1);

export function sumsOf({ layers, ...run }: Run): Result {
  const all = Object.entries(layers);
  const outcomes: Result["outcomes"] = {};
  for (const [key, n] of all.flatMap(([, layer]) => Object.entries(layer.outcomes)).sort(byName)) {
    const [command = "", outcome = ""] = key.split(" ");
    outcomes[command] ??= {};
    outcomes[command][outcome] = (outcomes[command][outcome] ?? 0) + n;
  }
  return {
    ...run,
    layers: Object.fromEntries(
      all.map(([name, { inputs, counts, slowest }]) => {
        const answers: Record<string, number> = {};
        for (const [answer, n] of Object.values(counts)
          .flatMap(Object.entries<number>)
          .sort(byName))
          answers[answer] = (answers[answer] ?? 0) + n;
        return [name, { inputs, answers, slowest }];
      }),
    ),
    outcomes,
  };
}

const number = (n: number) => n.toLocaleString("en");

/** Everything: a table a layer. */
export function render(run: Run): string {
  return [
    ...Object.entries(run.layers).map(([layer, { counts, refused, slowest, inputs }]) => {
      const results = [...new Set(Object.values(counts).flatMap((each) => Object.keys(each)))].sort();
      const rows = Object.entries(counts).map(([what, each]) => [
        what,
        ...results.map((name) => (each[name] ? number(each[name]) : "")),
      ]);
      const why = Object.entries(refused).map(([name, n]) => `${name} ${number(n)}`);
      return [
        `${layer}: ${number(inputs)} inputs`,
        table(["", ...results], rows),
        `Refused: ${why.join(", ")}.`,
        `Slowest: ${slowest.what}, ${number(slowest.ms)} ms.`,
      ].join("\n\n");
    }),
    summaryOf(sumsOf(run)),
  ].join("\n\n");
}

/** For the README: a line a layer. */
export function renderBlock(result: Result): string {
  const { date, seconds, machine } = result;
  const rows = Object.entries(result.layers).map(([layer, { inputs, answers }]) => [
    layer,
    number(inputs),
    // Sorted here: an object puts names that look like numbers first.
    Object.entries(answers)
      .sort(byName)
      .map(([answer, n]) => `${answer}: ${number(n)}`)
      .join(" · "),
  ]);
  return [
    `${date.slice(0, 10)}, ${number(seconds)} s on ${nameOf(machine)}.`,
    table(["layer", "inputs", "answers"], rows),
    briefOf(result),
  ].join("\n\n");
}

/** For the terminal: with the outcomes that no command came to. */
export function summaryOf(result: Result): string {
  const unseen = unseenIn(result).join(", ");
  return `${briefOf(result)}${unseen === "" ? "" : `\nNo command answered ${unseen}.`}`;
}

/** How many outcomes came is told beside those of today: a run that was kept may be older than some. */
function briefOf(result: Result): string {
  const all = Object.values(outcomes).flatMap((each) => Object.keys(each)).length;
  const slowest = Object.values(result.layers)
    .map((layer) => layer.slowest)
    .sort((a, b) => b.ms - a.ms)[0];
  return (
    `${number(result.inputs)} inputs, seed ${result.seed}: nothing found. The commands answered ${all - unseenIn(result).length} of the ` +
    `${all} outcomes that there are now; the slowest answer took ${number(slowest?.ms ?? 0)} ms (${slowest?.what}).`
  );
}

function unseenIn({ outcomes: seen }: Result): string[] {
  return Object.entries(outcomes).flatMap(([command, each]) =>
    Object.keys(each)
      .filter((outcome) => !seen[command]?.[outcome])
      .map((outcome) => `${command} ${outcome}`),
  );
}

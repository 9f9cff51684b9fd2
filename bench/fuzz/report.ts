/** What a run counted: for the terminal, and the README's block. */
import { readFileSync, writeFileSync } from "node:fs";
import { outcomes } from "../../server/api/outcomes.ts";
import { type Machine, nameOf } from "../harness/machine.ts";
import { table, withBlock } from "../report/report.ts";

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

const RESULTS = new URL("results.json", import.meta.url);
export const README = new URL("../README.md", import.meta.url);

export function readResult(): Result {
  return JSON.parse(readFileSync(RESULTS, "utf8"));
}

export function keep(result: Result): void {
  writeFileSync(RESULTS, `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(README, withBlock(readFileSync(README, "utf8"), renderBlock(result), "fuzz"));
}

const number = (n: number) => n.toLocaleString("en");

/** Everything: a table a layer. */
export function render(result: Result): string {
  return [
    ...Object.entries(result.layers).map(([layer, { counts, refused, slowest, inputs }]) => {
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
    summaryOf(result),
  ].join("\n\n");
}

/** For the README: a line a layer and result. */
export function renderBlock(result: Result): string {
  const { date, seconds, machine } = result;
  const rows = Object.entries(result.layers).flatMap(([layer, { counts }]) => {
    const sums = new Map<string, number>();
    for (const each of Object.values(counts))
      for (const [name, n] of Object.entries(each)) sums.set(name, (sums.get(name) ?? 0) + n);
    return [...sums]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, n], i) => [i === 0 ? layer : "", name, number(n)]);
  });
  return [
    `${date.slice(0, 10)}, ${number(seconds)} s on ${nameOf(machine)}.`,
    table(["layer", "answer", "inputs"], rows),
    summaryOf(result),
  ].join("\n\n");
}

export function summaryOf({ seed, inputs, layers }: Result): string {
  const seen = new Set(Object.values(layers).flatMap((layer) => Object.keys(layer.outcomes)));
  const all = Object.entries(outcomes).flatMap(([command, each]) =>
    Object.keys(each).map((outcome) => `${command} ${outcome}`),
  );
  const unseen = all.filter((outcome) => !seen.has(outcome));
  const slowest = Object.values(layers)
    .map((layer) => layer.slowest)
    .sort((a, b) => b.ms - a.ms)[0];
  return (
    `${number(inputs)} inputs, seed ${seed}: nothing found. The commands answered ${all.length - unseen.length} of their ${all.length} outcomes` +
    `${unseen.length > 0 ? ` (not ${unseen.join(", ")})` : ""}; the slowest answer took ${number(slowest?.ms ?? 0)} ms (${slowest?.what}).`
  );
}

/** Results as text: for the terminal, and for the README's block of the latest runs; and the picture of the latest drop. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { compactJson } from "../harness/compact-json.ts";
import { nameOf } from "../harness/machine.ts";
import { writeBlock } from "../harness/readme-blocks.ts";
import { judge } from "../load/bars.ts";
import { renderDrop } from "./drop.ts";
import type { Drop, Headline, Kept, Measure, Result } from "./result.ts";
import { shownFigure, shownSpread } from "./show.ts";

const RESULTS = new URL("../results/", import.meta.url);
export const README = new URL("../README.md", import.meta.url);
export const PICTURE = new URL("drop.svg", RESULTS);
/** The drop that the picture shows. */
export const DROP = new URL("drop.json", RESULTS);

/** Where the latest full run of a scenario is kept. */
export function resultFile(scenario: string): URL {
  return new URL(`${scenario}.json`, RESULTS);
}

export function writeResult(file: string | URL, result: Result | Kept | Drop): void {
  writeFileSync(file, `${compactJson(result)}\n`);
}

/** The latest run of each of these scenarios, as far as there is one. */
export function readResults(scenarios: readonly string[]): Kept[] {
  return scenarios
    .map(resultFile)
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, "utf8")));
}

export function readDrop(): Drop {
  return JSON.parse(readFileSync(DROP, "utf8"));
}

/** Draws the latest drop anew and writes the README's block anew, both from what is kept. */
export function report(scenarios: readonly string[]): void {
  writeFileSync(PICTURE, renderDrop(readDrop()));
  writeBlock(README, "results", renderBlock(scenarios, readResults(scenarios)));
}

/**
 * Every scenario's latest run, one under the other: what is compared, the bars and notes. The kept files have every figure; what was
 * verified stands above them in the README.
 */
export function renderBlock(scenarios: readonly string[], results: readonly Kept[]): string {
  return scenarios
    .map((scenario) => {
      const result = results.find((candidate) => candidate.scenario === scenario);
      return result
        ? `### ${scenario}\n\n${renderHead(result)}\n\n${renderResult({ ...shortened(result), checks: [] }, renderCompared)}`
        : `### ${scenario}\n\nNo full run is kept yet: \`./sd bench ${scenario}\` makes one.`;
    })
    .join("\n\n");
}

/** When and on what it was run. */
function renderHead({ date, seconds, machine, options }: Kept): string {
  const given = Object.entries(options).map(
    ([name, value]) =>
      `${name} ${[value]
        .flat()
        .map((n) => n.toLocaleString("en"))
        .join("/")}`,
  );
  return `${date.slice(0, 10)}, ${seconds.toFixed(0)} s on ${nameOf(machine)}. ${given.join(", ")}.`;
}

/** Without the ratios that no bar is set for if there are others, and that need not be shown: they follow from the measures. */
export function shortened<R extends Result | Kept>(result: R): R {
  const shown = result.headlines.filter(
    (headline) => headline.isShown || judge(result.scenario, headline) !== undefined,
  );
  return { ...result, headlines: shown.length > 0 ? shown : result.headlines };
}

/** Tables, ratios with their bars, notes and what was verified. */
export function renderResult(
  result: Kept & Partial<Pick<Result, "failures">>,
  renderMeasures = renderFigures,
): string {
  const { measures, headlines, notes, checks, failures = [], answers } = result;
  const parts = [renderMeasures(measures), renderHeadlines(result.scenario, headlines)];
  if (answers) parts.push(renderAnswers(answers));
  if (notes.length > 0) parts.push(notes.map((note) => `- ${note}`).join("\n"));
  if (failures.length > 0) parts.push(`WRONG (${failures.length}):\n${failures.slice(0, 20).join("\n")}`);
  else if (checks.length > 0) parts.push(`Verified: ${checks.join("; ")}.`);
  return parts.filter(Boolean).join("\n\n");
}

/** Measures of several groups by their first figure, a column a group, as far as they have it; others with all of their figures. */
function renderCompared(all: readonly Measure[]): string {
  if (new Set(all.map(({ group }) => group)).size < 2) return renderFigures(all);
  const first = Object.keys(all[0]?.figures ?? {})[0] as string;
  const measures = all.filter(({ figures }) => first in figures);
  const groups = [...new Set(measures.map(({ group }) => group))];
  const names = [...new Set(measures.map(({ name }) => name))];
  const rows = names.map((name) => [
    name,
    ...groups.map((group) => {
      const found = measures.find((measure) => measure.name === name && measure.group === group);
      return found?.figures[first] ? shownSpread(found.figures[first]) : "";
    }),
  ]);
  return table([first, ...groups], rows);
}

function renderFigures(measures: readonly Measure[]): string {
  const figures = [...new Set(measures.flatMap((measure) => Object.keys(measure.figures)))];
  const hasGroups = measures.some(({ group }) => group !== "");
  const rows = measures.map(({ group, name, figures: has }) => [
    ...(hasGroups ? [group] : []),
    name,
    ...figures.map((figure) => {
      const found = has[figure];
      return found ? shownSpread(found) : "";
    }),
  ]);
  return table([...(hasGroups ? [""] : []), "", ...figures], rows);
}

function renderHeadlines(scenario: string, headlines: readonly Headline[]): string {
  if (headlines.length === 0) return "";
  const rows = headlines.map((headline) => {
    const judged = judge(scenario, headline);
    const unit = headline.unit ? ` ${headline.unit}` : "";
    const sign = judged?.bar.isAtMost ? "≤" : "≥";
    return [
      headline.name,
      `${shownFigure(headline.value)}${unit}`,
      judged ? `${sign} ${judged.bar.bar}${unit}` : "",
      judged ? `${sign} ${judged.bar.stretch}${unit}` : "",
      judged?.verdict ?? "",
    ];
  });
  const [bars, verdicts] = [3, 4].map((i) => rows.some((row) => row[i] !== ""));
  return bars || verdicts
    ? table(["", "", "bar", "stretch", ""], rows)
    : table(
        ["", ""],
        rows.map((row) => row.slice(0, 2)),
      );
}

function renderAnswers(answers: Record<string, number>): string {
  const rows = Object.entries(answers)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, n]) => [key.slice(0, 3), key.slice(4), n.toLocaleString("en")]);
  return table(["status", "outcome", "answers"], rows);
}

/** A Markdown table that can be read as it is. Figures stand to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, i) => Math.max(3, name.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const isFigure = head.map((_, i) =>
    rows.every((row) => /^([\d.,]+( \(.*\)| \w{1,2})?)?$/.test(row[i] ?? "")),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (isFigure[i] ? cell.padStart(widths[i] as number) : cell.padEnd(widths[i] as number))).join(" | ")} |`;
  const rule = widths.map((width, i) => (isFigure[i] ? `${"-".repeat(width - 1)}:` : "-".repeat(width)));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}

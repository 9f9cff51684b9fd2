/** The command line of a bench: whole numbers by name, as a scenario's defaults have them. */
import { statSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { callersFile } from "../../server/commands/called.ts";
import type { Options, Scenario } from "./scenario.ts";

export interface Command {
  /** A scenario's name, all, report, or none. */
  name: string | undefined;
  quick: boolean;
  /** Where to write the result as well. */
  json: string | undefined;
  /** As given, by name. */
  given: Record<string, string>;
}

/** Reads `args`; `scenarios` say which options there are. Throws one sentence on what is wrong. */
export function readCommand(args: readonly string[], scenarios: readonly Scenario<Options>[]): Command {
  const known = new Set(scenarios.flatMap(({ defaults }) => Object.keys(defaults)));
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "string" },
      ...Object.fromEntries([...known].map((name) => [name, { type: "string" as const }])),
    },
  });
  const [name, ...more] = positionals;
  if (more.length > 0) throw new Error(`one name at a time: ${positionals.join(" ")}`);
  const { quick, json, ...given } = values as { quick: boolean; json?: string } & Record<string, string>;
  const names = [...scenarios.map((scenario) => scenario.name), "all", "report"];
  if (name !== undefined && !names.includes(name))
    throw new Error(`no such scenario: ${name}; there are ${names.join(", ")}`);
  const scenario = scenarios.find((candidate) => candidate.name === name);
  for (const option of Object.keys(given))
    if (!scenario || !(option in scenario.defaults))
      throw new Error(`${name ?? "without a scenario, it"} takes no --${option}`);
  if (name === "report" && quick) throw new Error("report takes no --quick");
  if (json !== undefined && !scenario) throw new Error("--json needs the name of one scenario");
  return { name, quick, json: json === undefined ? undefined : fileToWrite(json), given };
}

/** Its path, once it is clear that a result of many minutes can be written there. */
function fileToWrite(json: string): string {
  const path = callersFile(json);
  const isDirectory = (at: string) => statSync(at, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isDirectory(path) || !isDirectory(dirname(path)))
    throw new Error(`--json must be a file in a directory that is there, not ${json}`);
  return path;
}

/** The options of a run, checked. */
export function optionsOf(
  { defaults, quick, check }: Scenario<Options>,
  isQuick: boolean,
  given: Record<string, string>,
): Options {
  const options: Options = { ...defaults, ...(isQuick ? quick : {}) } as Options;
  for (const [name, text] of Object.entries(given)) {
    const isList = Array.isArray(defaults[name]);
    const numbers = text
      .split(",")
      .map((part) => (/^\d{1,9}$/.test(part.trim()) ? Number(part) : Number.NaN));
    const wrong = numbers.some((number) => Number.isNaN(number) || (number === 0 && name !== "sizes"));
    if (wrong || (!isList && numbers.length > 1))
      throw new Error(
        `--${name} must be ${isList ? "whole numbers with commas between" : "a whole number from 1 on"}`,
      );
    options[name] = isList ? numbers : (numbers[0] as number);
  }
  check?.(options);
  return options;
}

export function usageOf(scenarios: readonly Scenario<Options>[]): string {
  const flags = ({ defaults }: Scenario<Options>) =>
    Object.entries(defaults)
      .map(([name, value]) => `--${name} ${[value].flat().join()}`)
      .join(" ");
  return `usage: ./sd bench NAME [--quick] [--json FILE] [option …]   one scenario
       ./sd bench all [--quick]                            all of them, about an hour; seconds each with --quick
       ./sd bench compare REV [burst | refuse | grant]     this working tree against another revision, in turn
       ./sd bench report                                   the tables and the picture anew from bench/results

${scenarios.map((scenario) => `  ${scenario.name.padEnd(9)} ${scenario.about}\n            ${flags(scenario)}`).join("\n")}

Each verifies the data afterwards and exits with 1 when a number is wrong; a bar that is missed is only said. A full run with
nothing changed is kept in bench/results and shown in bench/README.md; any other only with --json.`;
}

/** ./sd bench: the load scenarios. The exit status says whether all numbers are right: 1 if not, 2 if it could not run. */
import { cleanUpOnSignals } from "../harness/cleanup.ts";
import { machine, nameOf } from "../harness/machine.ts";
import { DROP, renderResult, report, resultFile, shortened, writeResult } from "../report/report.ts";
import { type Drop, type Result, Skipped, type Timeline } from "../report/result.ts";
import { optionsOf, readCommand, usageOf } from "./options.ts";
import type { Options, Scenario } from "./scenario.ts";
import { names, scenarios } from "./scenarios.ts";

const say = (line: string) => console.log(line);

cleanUpOnSignals();
try {
  const { name, quick, json, given } = readCommand(process.argv.slice(2), scenarios);
  if (name === undefined) {
    say(usageOf(scenarios));
  } else if (name === "report") {
    report(names);
    say("made the tables of bench/README.md and bench/results/drop.svg anew");
  } else {
    const chosen = scenarios.filter((scenario) => name === "all" || scenario.name === name);
    // All are checked before the first one runs.
    const planned = chosen.map((scenario) => ({ scenario, options: optionsOf(scenario, quick, given) }));
    const isFull = !quick && Object.keys(given).length === 0;
    for (const { scenario, options } of planned) {
      try {
        const result = await runScenario(scenario, options, quick);
        keep(result, isFull, json);
        if (result.failures.length > 0) process.exitCode = 1;
      } catch (error) {
        if (!(error instanceof Skipped) || name !== "all") throw error;
        say(`${scenario.name}: skipped: ${error.message}`);
      }
    }
  }
} catch (error) {
  console.error(`bench: ${(error as Error).message}`);
  process.exitCode = 2;
}

async function runScenario(scenario: Scenario<Options>, options: Options, quick: boolean): Promise<Result> {
  const began = performance.now();
  const date = new Date().toISOString();
  const serverUrl = process.env["SCRATCH_SERVER_URL"];
  if (!serverUrl) throw new Error("run this through ./sd: SCRATCH_SERVER_URL is not set");
  const here = await machine(serverUrl);
  say(`\n== ${scenario.name}: ${scenario.about}`);
  const elapsed = () => ((performance.now() - began) / 1000).toFixed(1).padStart(6);
  const findings = await scenario.run(options, (line) => say(`${elapsed()} s  ${line}`));
  const seconds = Number(((performance.now() - began) / 1000).toFixed(1));
  const result = { scenario: scenario.name, quick, date, seconds, options, machine: here, ...findings };
  say(`\n${renderResult(result)}\n\n${nameOf(here)}; ${seconds} s`);
  return result;
}

/** Writes a result where it was asked for, and a full one where the README looks; wrong numbers nowhere. */
function keep(result: Result, isFull: boolean, json: string | undefined): void {
  if (result.failures.length > 0) {
    say("nothing was written: the numbers are wrong");
    return;
  }
  if (json !== undefined) {
    writeResult(json, result);
    say(`written to ${json}`);
  }
  if (isFull) {
    const { timeline, quick, failures, ...kept } = result;
    writeResult(resultFile(result.scenario), shortened(kept));
    if (timeline) writeResult(DROP, dropOf(result, timeline));
    report(names);
    say(`kept in bench/results/${result.scenario}.json; bench/README.md and the picture follow it`);
  } else if (json === undefined) {
    say("not kept: only a full run with nothing changed is, any other with --json FILE");
  }
}

function dropOf({ date, machine, options }: Result, timeline: Timeline): Drop {
  const { requests, connections, count } = options as Record<string, number>;
  return { date, machine, requests, connections, count, ...timeline } as Drop;
}

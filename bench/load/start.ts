/**
 * How long ./sd start takes where it is installed and set up, from the shell to the first answer, and how much memory it has then. The
 * embedded PostgreSQL is started and stopped with it in each round; its memory is not counted.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../db/embedded/port.ts";
import { residentMemory } from "../harness/process.ts";
import { said, sd, stop } from "../harness/sd.ts";
import { temporaryDirectory } from "../harness/temporary.ts";
import { until } from "../harness/waiting.ts";
import type { Findings, Say } from "../report/result.ts";
import { figuresOf } from "./measures.ts";
import type { Scenario } from "./scenario.ts";

interface StartOptions {
  [name: string]: number;
  rounds: number;
  /** From the first answer until memory is read: what starting left is collected by then. */
  seconds: number;
}

export const start: Scenario<StartOptions> = {
  name: "start",
  about: "`./sd start` where it is installed and set up: the time to the first answer, and memory at rest",
  defaults: { rounds: 9, seconds: 10 },
  quick: { rounds: 1, seconds: 1 },
  run,
};

interface Round {
  /** From the start of ./sd, ms. */
  listening: number;
  ready: number;
  /** Resident at rest, MB: the process that serves, and the one that started it. */
  server: number;
  starter: number;
}

async function run({ rounds, seconds }: StartOptions, say: Say): Promise<Findings> {
  const dataDir = join(await temporaryDirectory(), "data");
  say("sets up");
  await oneRound(dataDir, 0);
  const runs: Round[] = [];
  for (let round = 1; round <= rounds; round++) {
    const found = await oneRound(dataDir, seconds);
    runs.push(found);
    say(`round ${round}: ready after ${found.ready.toFixed(0)} ms`);
  }
  const figures = figuresOf(runs, {
    "ready ms": (run) => run.ready,
    "listening ms": (run) => run.listening,
    "memory of the server MB": (run) => run.server,
    "memory of ./sd itself MB": (run) => run.starter,
  });
  const headline = (name: string, figure: string, unit: string) => {
    const value = figures[figure]?.[0];
    return value === undefined ? [] : [{ name, value, unit }];
  };
  return {
    measures: [{ group: "", name: "./sd start", figures }],
    headlines: [
      ...headline("cold start, to the first answer", "ready ms", "ms"),
      ...headline("memory of a server at rest", "memory of the server MB", "MB"),
    ],
    checks: [`${rounds} starts that ended in order, with status 0`],
    failures: [],
    notes: ["Each start also starts the embedded PostgreSQL, and finds it set up."],
  };
}

async function oneRound(dataDir: string, seconds: number): Promise<Round> {
  const port = await freePort();
  const began = performance.now();
  const run = sd(["start"], { dataDir, port });
  await said(run, '"message":"listening"');
  const listening = performance.now() - began;
  await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200);
  const ready = performance.now() - began;
  await sleep(seconds * 1_000);
  const [, pid] = run.stdout.match(/"message":"listening".*"pid":(\d+)/) ?? [];
  const server = await residentMemory(Number(pid));
  const starter = (await residentMemory(run.child.pid as number)) - server;
  await stop(run);
  return { listening, ready, server, starter };
}

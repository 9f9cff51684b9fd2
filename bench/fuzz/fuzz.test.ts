/** ./sd fuzz at its shortest: some inputs of each layer. The rest, and the planted bugs that it must find, is in the long tests. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkBlock } from "../harness/readme-blocks.ts";
import type { Scratch } from "../harness/scratch.ts";
import { bugs } from "./bugs.ts";
import { fuzzHttp } from "./http.ts";
import { README, readResult, renderBlock, sumsOf } from "./report.ts";
import { createTally, type Task, undisturbed } from "./run.ts";
import { fuzzSockets } from "./sockets.ts";
import { fuzzSql } from "./sql.ts";

const SEED = 1;
const LAYERS: [name: string, fuzz: (task: Task) => Promise<void>, inputs: number][] = [
  ["requests", fuzzHttp, 100],
  ["bytes on sockets", fuzzSockets, 20],
  ["calls of functions", fuzzSql, 200],
];

for (const [name, fuzz, inputs] of LAYERS)
  test(name, async (t) => {
    const all = createTally();
    await undisturbed(
      (tally) => fuzz({ seed: SEED, inputs, tally }),
      all,
      (line) => t.diagnostic(line),
    );
    assert.ok(all.done() >= inputs, `${all.done()} of ${inputs}`);
  });

test("every text that a planted bug replaces is there", async () => {
  const owner = Object.assign(async () => [], { unsafe: async () => [] });
  for (const { name, plant } of bugs)
    await plant({ owner } as unknown as Scratch).catch((error) => assert.fail(`${name}: ${error}`));
});

test("what is kept of a run: sums of all routes, outcomes of all layers", () => {
  const layer = (counts: Record<string, Record<string, number>>, outcomes: Record<string, number>) => ({
    inputs: 5,
    counts,
    outcomes,
    refused: { type: 1 },
    slowest: { ms: 7, what: "GET /a" },
  });
  const { machine } = readResult();
  const run = { date: "2026-11-22", seed: 1, inputs: 10, seconds: 1, machine };
  const layers = {
    http: layer({ "GET /a": { "200": 2, "404": 1 }, "GET /b": { "200": 2 } }, { "issue_coupon issued": 2 }),
    sql: layer({ f: { rows: 4, "22P02": 1 } }, { "issue_coupon issued": 1, "issue_coupon ended": 3 }),
  };
  const slowest = { ms: 7, what: "GET /a" };
  assert.deepEqual(sumsOf({ ...run, layers }), {
    ...run,
    layers: {
      http: { inputs: 5, answers: { "200": 4, "404": 1 }, slowest },
      sql: { inputs: 5, answers: { rows: 4, "22P02": 1 }, slowest },
    },
    outcomes: { issue_coupon: { ended: 3, issued: 3 } },
  });
});

test("bench/README.md tells the run that is kept: a million inputs", () => {
  checkBlock(README, "fuzz", renderBlock(readResult()));
  assert.ok(readResult().inputs >= 1_000_000);
});

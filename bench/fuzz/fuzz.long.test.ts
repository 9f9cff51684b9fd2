/** ./sd fuzz in short; and bugs made on purpose, which it must find. The shortest form is in fuzz.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { contract } from "../../server/api/contract.ts";
import { scratchDatabase } from "../harness/scratch.ts";
import { bugs, planted } from "./bugs.ts";
import { functionsOf } from "./functions.ts";
import { onlyRefused } from "./fuzz.ts";
import { fuzzHttp, missedBy } from "./http.ts";
import { createTally, type Task, undisturbed } from "./run.ts";
import { fuzzSockets } from "./sockets.ts";
import { fuzzSql } from "./sql.ts";

const SEED = 1;
/** Until a planted bug must be found. A run ends with the first finding. */
const INPUTS = 20_000;

/** Where most inputs of a route or function are refused, all may be by chance: then there are as many more, by another seed. */
const SEEDS = 4;

/**
 * Outcomes that so many inputs reach at least. By the seeds 1, 11, 22 and 33 (2026-11-29) they reached 82 to 93 by HTTP, and by SQL, where
 * those of single users and of the server's calls count too, 108 to 115. What most of them miss: a coupon that is sold out or over just
 * then, and a second change that is the same, or in the way of the first.
 */
const REACHED = { http: 72, sql: 98 };

async function inShort(
  fuzz: (task: Task) => Promise<void>,
  inputs: number,
  say: (line: string) => void,
  seeds = 1,
) {
  const all = createTally();
  for (let i = 0; i === 0 || (i < seeds && onlyRefused(all).length > 0); i++)
    await undisturbed((tally) => fuzz({ seed: SEED + i, inputs, tally }), all, say);
  assert.ok(all.done() >= inputs, `${all.done()} of ${inputs}`);
  return all;
}

test("requests to all routes", async (t) => {
  const tally = await inShort(fuzzHttp, 6_000, (line) => t.diagnostic(line), SEEDS);
  assert.deepEqual([missedBy(tally), onlyRefused(tally)], [[], []]);
  assert.ok(tally.outcomes.size >= REACHED.http, `outcomes: ${[...tally.outcomes.keys()]}`);
});

test("bytes on sockets", async (t) => {
  await inShort(fuzzSockets, 400, (line) => t.diagnostic(line));
});

test("calls of all functions", async (t) => {
  const tally = await inShort(fuzzSql, 6_000, (line) => t.diagnostic(line), SEEDS);
  const scratch = await scratchDatabase();
  try {
    const names = new Set((await functionsOf(scratch.owner)).map(({ name }) => name));
    assert.deepEqual([...tally.counts.keys()].sort(), [...names].sort());
  } finally {
    await scratch.drop();
  }
  assert.deepEqual(onlyRefused(tally), []);
  assert.ok(tally.outcomes.size >= REACHED.sql, `outcomes: ${[...tally.outcomes.keys()]}`);
});

for (const { name, fuzz, plant, found, inputs = INPUTS } of bugs)
  test(`found: ${name}`, async (t) => {
    await assert.rejects(
      undisturbed(
        (tally) => fuzz({ seed: SEED, inputs, tally, plant, shrinkMs: 0 }),
        createTally(),
        (line) => t.diagnostic(line),
        found,
      ),
      (error: Error) => {
        assert.match(error.message, found);
        assert.match(
          error.message,
          new RegExp(`again: \\./sd fuzz --layer \\w+ --seed 1 --inputs ${inputs}$`),
        );
        return true;
      },
    );
  });

test("found: a function that refuses everything", async () => {
  const tally = createTally();
  const plant = planted("sql/set_coupon_expiry.sql", ["set_coupon_expiry.expiry is null", "true"]);
  await fuzzSql({ seed: SEED, inputs: 1_000, tally, plant });
  assert.ok(onlyRefused(tally).includes("set_coupon_expiry"));
});

test("found: a schema without its bounds", async (t) => {
  const operation: { body: z.ZodType } = contract.setCouponCount;
  const right = operation.body;
  operation.body = z.looseObject({ count: z.number().meta({ examples: [3] }) });
  try {
    await assert.rejects(
      undisturbed(
        (tally) => fuzzHttp({ seed: SEED, inputs: INPUTS, tally, shrinkMs: 0 }),
        createTally(),
        (line) => t.diagnostic(line),
      ),
      /count (\d+: (must be refused: )?body by the document|400: not a sentence of ours: count: |500: a failure of ours)/,
    );
  } finally {
    operation.body = right;
  }
});

/** ./sd fuzz in short; and bugs made on purpose, which it must find. The shortest form is in fuzz.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { contract } from "../../server/api/contract.ts";
import { changed } from "../faults/planted.ts";
import { scratchDatabase } from "../harness/scratch.ts";
import { functionsOf } from "./functions.ts";
import { onlyRefused } from "./fuzz.ts";
import { fuzzHttp, missedBy } from "./http.ts";
import { createTally, type Task, undisturbed } from "./run.ts";
import { fuzzSockets } from "./sockets.ts";
import { fuzzSql } from "./sql.ts";

const SEED = 1;

async function inShort(fuzz: (task: Task) => Promise<void>, inputs: number, say: (line: string) => void) {
  const all = createTally();
  await undisturbed((tally) => fuzz({ seed: SEED, inputs, tally }), all, say);
  assert.ok(all.done() >= inputs, `${all.done()} of ${inputs}`);
  return all;
}

test("requests to all routes", async (t) => {
  const tally = await inShort(fuzzHttp, 3_000, (line) => t.diagnostic(line));
  assert.deepEqual([missedBy(tally), onlyRefused(tally)], [[], []]);
  assert.ok(tally.outcomes.size >= 30, `outcomes: ${[...tally.outcomes.keys()]}`);
});

test("bytes on sockets", async (t) => {
  await inShort(fuzzSockets, 400, (line) => t.diagnostic(line));
});

test("calls of all functions", async (t) => {
  const tally = await inShort(fuzzSql, 4_000, (line) => t.diagnostic(line));
  const scratch = await scratchDatabase();
  try {
    const names = new Set((await functionsOf(scratch.owner)).map(({ name }) => name));
    assert.deepEqual([...tally.counts.keys()].sort(), [...names].sort());
  } finally {
    await scratch.drop();
  }
  assert.deepEqual(onlyRefused(tally), []);
  assert.ok(tally.outcomes.size >= 30, `outcomes: ${[...tally.outcomes.keys()]}`);
});

/** A function's text with parts replaced. */
const planted =
  (file: string, ...changes: [from: string, to: string][]): NonNullable<Task["plant"]> =>
  async ({ owner }) => {
    await owner.unsafe(await changed(file, ...changes));
  };

const BUGS: {
  name: string;
  fuzz: (task: Task) => Promise<void>;
  plant: NonNullable<Task["plant"]>;
  found: RegExp;
}[] = [
  {
    name: "a function without its bound lets the constraint answer",
    fuzz: fuzzSql,
    plant: planted("sql/use_coupon.sql", [
      "    ('reference', length(use_coupon.reference) not between 1 and 200, 'must have 1 to 200 characters'),\n",
      "",
    ]),
    found: /^use_coupon: 23514 /,
  },
  {
    name: "a function that computes beyond its type",
    fuzz: fuzzSql,
    plant: planted("sql/find_coupon.sql", ["begin\n", "begin\n  perform find_coupon.coupon_id + 1;\n"]),
    found: /^find_coupon: 22003 /,
  },
  {
    name: "a rule broken",
    fuzz: fuzzSql,
    plant: async (scratch) => {
      await scratch.owner`drop trigger audit_tells_what_is on coupon.audit`;
      await planted("sql/use_coupon.sql", [
        "values ('use_coupon', use_coupon.coupon_id, use_coupon.user_id, use_coupon.used_date,",
        "values ('use_coupon', use_coupon.coupon_id, use_coupon.user_id, use_coupon.used_date - interval '1 second',",
      ])(scratch);
    },
    found: /^when all was done: [\s\S]*audited_use_is_there/,
  },
  {
    name: "a failure of the database behind a route",
    fuzz: fuzzHttp,
    plant: planted("sql/set_coupon_count.sql", [
      "when set_coupon_count.count < v_coupon.issued then 'below_issued'",
      "when false then 'below_issued'",
    ]),
    found: /POST .*\/count 503: a failure of ours/,
  },
  {
    name: "a constraint's name in a sentence",
    fuzz: fuzzHttp,
    plant: planted("sql/internal/refuse_argument.sql", [
      "%', argument, why",
      "% (coupons_count_check)', argument, why",
    ]),
    found: /tells of our insides: .*coupons_count_check/,
  },
];
for (const { name, fuzz, plant, found } of BUGS)
  test(`found: ${name}`, async () => {
    await assert.rejects(
      fuzz({ seed: SEED, inputs: 5_000, tally: createTally(), plant, shrinkMs: 0 }),
      (error: Error) => {
        assert.match(error.message, found);
        assert.match(error.message, /again: \.\/sd fuzz --layer \w+ --seed 1 --inputs 5000$/);
        return true;
      },
    );
  });

test("found: a function that refuses everything", async () => {
  const tally = createTally();
  const plant = planted("sql/undo_use.sql", ["undo_use.user_id is null, 'must", "true, 'must"]);
  await fuzzSql({ seed: SEED, inputs: 1_000, tally, plant });
  assert.ok(onlyRefused(tally).includes("undo_use"));
});

test("found: a schema without its bounds", async () => {
  const operation: { body: z.ZodType } = contract.setCouponCount;
  const right = operation.body;
  operation.body = z.looseObject({ count: z.number() });
  try {
    await assert.rejects(
      fuzzHttp({ seed: SEED, inputs: 5_000, tally: createTally(), shrinkMs: 0 }),
      /must be refused: body by the document/,
    );
  } finally {
    operation.body = right;
  }
});

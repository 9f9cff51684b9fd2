/** The service against a model of it, at length: random commands go to both, and every answer is compared. bench/harness/model says how. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Command } from "../bench/harness/model/commands.ts";
import { UNDRAWN, UNREACHED } from "../bench/harness/model/functions.ts";
import { allAtOnce, oneAfterAnother, reached } from "../bench/harness/model/runs.ts";
import { FIRST } from "../bench/harness/model/seldom.ts";
import { plant, service } from "../bench/harness/model/service.ts";

test("one after another: every answer is the model's, and every outcome is reached", async (t) => {
  const right = await service(t);
  await fc.assert(oneAfterAnother(right), { numRuns: 200, examples: [FIRST] });
  const outcomes = await right.scratch.admin`
    select replace(t.typname, '_outcome', '') || ': ' || e.enumlabel as outcome
    from pg_enum e join pg_type t on t.oid = e.enumtypid
    where t.typname like '%outcome'`;
  assert.deepEqual(
    outcomes
      .map(({ outcome }) => outcome as string)
      .filter((outcome) => !reached.has(outcome) && !((outcome.split(":")[0] as string) in UNDRAWN))
      .sort(),
    Object.keys(UNREACHED).sort(),
  );
  assert.ok(reached.has("copy_day: code_too_long"));
});

test("all at once: some order of the model explains every answer", async (t) => {
  // The same commands may race another way the next time, so there is nothing to shrink.
  await fc.assert(allAtOnce(await service(t)), { numRuns: 250, endOnFailure: true });
});

const RACES = [
  ["lock_issuing", "no lock", /lock table[^;]*;([^;]*) for no key update/, "$1"],
  ["lock_issuing", "no lock across coupons", /lock table[^;]*;/, ""],
  ["use_coupon", "a use that doesn't lock", /for no key update/, ""],
  [
    "resolve_subjects",
    "a subject that two see first",
    /on conflict on constraint subjects_pkey do nothing/,
    "",
  ],
] as const;

/** Six who resolve a subject at once: at random, two seldom see the same one first. */
const FIRST_SIGHTS = Array.from({ length: 50 }, (): [Command[], Command[][]] => [
  [],
  Array.from({ length: 6 }, () => [
    { call: "resolve_subjects", issuer: "https://id.example/", subjects: ["ann"], creating: true },
  ]),
]);

for (const [name, bug, right, wrong] of RACES)
  test(`all at once goes red with ${bug}`, async (t) => {
    const broken = await service(t);
    await plant(broken.scratch.owner, name, right, wrong);
    const run = await fc.check(allAtOnce(broken), {
      ...{ seed: 1, numRuns: 500, endOnFailure: true },
      examples: name === "resolve_subjects" ? FIRST_SIGHTS : [],
    });
    assert.ok(run.errorInstance instanceof assert.AssertionError);
  });

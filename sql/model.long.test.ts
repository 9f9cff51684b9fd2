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

/** Six who do something at once to one thing, which two of them seldom draw at the same time, again and again. */
const sixAtOnce = (opening: Command[], of: (i: number) => Command) =>
  Array.from({ length: 50 }, (): [Command[], Command[][]] => [
    opening,
    Array.from({ length: 6 }, (_, i) => [of(i)]),
  ]);
const MEETING: Partial<Record<(typeof RACES)[number][0], [Command[], Command[][]][]>> = {
  use_coupon: sixAtOnce([{ call: "issue_coupon", user: 1, coupon: 1 }], (i) => ({
    ...{ call: "use_coupon", user: 1, coupon: 1, reference: `r${i}` },
  })),
  resolve_subjects: sixAtOnce([], () => ({
    ...{ call: "resolve_subjects", issuer: "https://id.example/", subjects: ["ann"], creating: true },
  })),
};

for (const [name, bug, right, wrong] of RACES)
  test(`all at once goes red with ${bug}`, async (t) => {
    const broken = await service(t);
    await plant(broken.scratch.owner, name, right, wrong);
    const run = await fc.check(allAtOnce(broken), {
      ...{ seed: 1, numRuns: 500, endOnFailure: true },
      examples: MEETING[name] ?? [],
    });
    assert.ok(run.errorInstance instanceof assert.AssertionError);
  });

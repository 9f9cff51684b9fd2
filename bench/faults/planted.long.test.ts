/** The checker is tested: it goes red for every planted bug, and stays green without one. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bugs, foundWith } from "./planted.ts";
import { changed } from "./planting.ts";
import { type Trial, trial, unmadeOf } from "./trial.ts";

/** A bug that shows by chance is looked for again, with other seeds. */
const TRIALS = 5;
const SEEDS = (process.env["SEEDS"] ?? "1").split(",").map(Number);
/** That each kind of thing is done, and is refused where it has to be. */
const ERRANDS = [
  "scan used",
  "scan already_used",
  "scan claim_not_found",
  "undo restored",
  "forget forgotten",
  "plan planned",
  "fill filled",
  "retire going_on",
];

// A trial waits more than it computes, for calls that were made to fail.
describe("trials", { concurrency: 4 }, () => {
  for (const seed of SEEDS) {
    test(`no bug, seed ${seed}: nothing is found, and faults were made of every kind`, async () => {
      const run = await trial({ seed, requests: 2_000, lives: 12 });
      assert.deepEqual(run.verdict.violations, []);
      assert.deepEqual([undoneIn(run), unmadeOf(run)], [[], []]);
    });

    for (const bug of bugs)
      test(`${bug.name}, seed ${seed}: ${bug.breaks.join(", ")}`, async (t) => {
        let missed: string[] = [];
        for (let i = 0; i < TRIALS; i++) {
          const found = await foundWith(bug, seed + 1_000 * i);
          missed = bug.breaks.filter((invariant) => !found.has(invariant));
          if (missed.length === 0) return;
          t.diagnostic(`trial ${i + 1} found ${[...found].join(", ") || "nothing"}`);
        }
        assert.deepEqual(missed, []);
      });
  }
});

/** What nobody was told to have done. */
function undoneIn({ history: { attempts } }: Trial): string[] {
  const done = new Set(attempts.map(({ ask, answer }) => `${ask.kind} ${answer.outcome}`));
  return ERRANDS.filter((errand) => !done.has(errand));
}

test("a bug whose place in the text is gone is no bug", async () => {
  await assert.rejects(
    changed("sql/issue_coupons.sql", ["no such text", ""]),
    /must contain this exactly once: no such text/,
  );
});

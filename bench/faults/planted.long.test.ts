/** The checker is tested: it goes red for every planted bug, with every seed, and stays green without one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bugs, changed } from "./planted.ts";
import { trial } from "./trial.ts";

const SEEDS = (process.env["SEEDS"] ?? "1").split(",").map(Number);
const REQUESTS = 1_000;

for (const seed of SEEDS) {
  test(`no bug, seed ${seed}: nothing is found, and faults were made of every kind`, async () => {
    const { verdict, made } = await trial({ seed, requests: 2 * REQUESTS });
    assert.deepEqual(verdict.violations, []);
    assert.deepEqual(
      Object.entries(made).filter(([, times]) => times === 0),
      [],
    );
  });

  for (const { name, breaks, plant, ...given } of bugs)
    test(`${name}, seed ${seed}: ${breaks.join(", ")}`, async () => {
      const { verdict } = await trial({ restocks: false, ...given, seed, requests: REQUESTS, plant });
      const found = new Set(verdict.violations.map(({ invariant }) => invariant));
      assert.deepEqual(
        breaks.filter((invariant) => !found.has(invariant)),
        [],
        `found: ${[...found]}`,
      );
    });
}

test("a bug whose place in the text is gone is no bug", async () => {
  await assert.rejects(changed("sql/issue_coupons.sql", ["no such text", ""]), /has not once: no such text/);
});

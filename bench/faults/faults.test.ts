/** ./sd faults at its shortest: one fault against a server, calls that fail, and a bug that is found. The rest is in the long tests. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import type { Scratch } from "../harness/scratch.ts";
import { assault } from "./assault.ts";
import { names } from "./campaign.ts";
import { faults } from "./faults.ts";
import { TESTS } from "./others.ts";
import { bugs } from "./planted.ts";
import { trial } from "./trial.ts";

const SEED = 1;

test("a stroke: all connections are reset, clients notice, and no promise is broken", async () => {
  const fault = faults.find(({ name }) => name === "resets");
  assert.ok(fault);
  const { verdict, history } = await assault(fault, { seed: SEED, strokes: 1, isShort: true }, () =>
    Promise.reject(new Error("this fault needs no cluster")),
  );
  assert.deepEqual(verdict.violations, []);
  const answers = new Set(history.attempts.map(({ answer }) => answer.is));
  assert.ok(answers.has("ok") && answers.has("unknown"), `answers: ${[...answers]}`);
});

test("calls that fail by chance: no promise is broken", async () => {
  const { verdict, history, made } = await trial({ seed: SEED, requests: 500 });
  assert.deepEqual(verdict.violations, []);
  assert.equal(new Set(history.attempts.map(({ request }) => request)).size, 500);
  assert.notEqual(made.unheard + made.late, 0);
});

test("the same with a planted bug: it is found", async () => {
  const bug = bugs.find(({ name }) => name === "unit too many");
  assert.ok(bug);
  const { verdict } = await trial({ restocks: false, seed: SEED, requests: 500, plant: bug.plant });
  const found = new Set(verdict.violations.map(({ invariant }) => invariant));
  assert.deepEqual(
    bug.breaks.filter((invariant) => !found.has(invariant)),
    [],
  );
});

test("every text that a planted bug replaces is there", async () => {
  const nothing = {
    owner: { unsafe: () => ({ simple: async () => {} }) },
    apiUrl: "postgres://nobody@localhost/none",
  };
  for (const { name, plant } of bugs) {
    const planted = await plant(nothing as unknown as Scratch).catch((error) =>
      assert.fail(`${name}: ${error}`),
    );
    await planted.end?.();
  }
});

test("no two faults have one name", () => {
  assert.equal(new Set(names).size, names.length);
});

test("the tests that ./sd faults runs are there", () => {
  const root = new URL("../../", import.meta.url);
  assert.deepEqual(
    TESTS.filter((file) => !existsSync(new URL(file, root))),
    [],
  );
});

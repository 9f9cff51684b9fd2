/** What ./sd faults is made of is there. The faults themselves are in the long tests. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import type { Scratch } from "../harness/scratch.ts";
import { names } from "./campaign.ts";
import { TESTS } from "./others.ts";
import { bugs } from "./planted.ts";
import { trial } from "./trial.ts";

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

test("a small run in which calls fail: each thing that is done to a coupon is done, and nothing is broken", async () => {
  const { verdict, history } = await trial({ seed: 1, requests: 50, lives: 2 });
  assert.deepEqual(verdict.violations, []);
  const done = history.attempts.filter(({ answer }) => answer.is === "ok").map(({ ask }) => ask.kind);
  assert.deepEqual(
    ["issue", "scan", "forget", "create", "move", "early", "edit", "plan", "fill", "retire"].filter(
      (kind) => !done.some((other) => other === kind),
    ),
    [],
  );
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

/** Grants of long ago that are lost while they are retired, by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Answer } from "../history.ts";
import * as checks from "./retired.ts";
import { brokenIn, testCases, type World, world } from "./world.ts";

/** Coupon 5 of long ago with 10 grants, of which so many are there and moved out. */
function old(isRetired: boolean, grants: number, moved: number, outcome = "going_on"): World {
  const answer: Answer = { is: "ok", outcome };
  return world([[{ kind: "retire", before: "2026-01-01", most: 8 }, answer]], [], (history, state) => {
    history.old.set(5, 10);
    state.old.push({ coupon: 5, isRetired, grants, moved });
  });
}

/** It is among the coupons and among those that are retired. */
function twice(given: World): World {
  given.state.old.push(...given.state.old);
  return given;
}

testCases(checks, [
  [["retired_is_kept"], "it is retired, and is there", twice(old(true, 2, 8))],
  [["retired_is_kept"], "a grant is in no sum", old(true, 2, 7)],
  [["retired_is_kept"], "a grant is there and in a sum", old(true, 3, 8)],
  [["retired_is_kept"], "it has sums, and is not retired", old(false, 2, 8)],
  [["retired_is_kept"], "it is there, and all was told to be done", old(false, 10, 0, "done")],
]);

test("right: not yet, under way, done", () => {
  for (const each of [old(false, 10, 0), old(true, 10, 0), old(true, 2, 8), old(true, 0, 10, "done")])
    assert.deepEqual(brokenIn(each), []);
});

/** What is said of a drop and does not hold, each broken by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Answer } from "../history.ts";
import * as checks from "./demand.ts";
import {
  AT,
  again,
  brokenIn,
  changed,
  counting,
  issue,
  issued,
  overloaded,
  refused,
  restock,
  testCases,
  unknown,
  type World,
  world,
} from "./world.ts";

const LATER = "2026-11-22T10:00:01.000000Z";
const since = (at: string | undefined): Answer => ({ is: "refused", outcome: "sold_out", ...(at && { at }) });

/** Two units, and six attempts: one is told that nothing was done, of one nobody knows. */
function drop(asked: number, isCounted = true): World {
  return world(
    [
      [issue(1), issued(1)],
      [issue(2), unknown],
      [issue(2), again(2), { request: 1 }],
      [issue(3), overloaded],
      [issue(3), refused("sold_out"), { request: 3 }],
      [issue(1), again(1)],
    ],
    [{}, {}],
    (history, { coupons }) => {
      history.isCounted = isCounted;
      Object.assign(coupons[0] as object, { asked });
    },
  );
}

/** Two units are taken, the second one later, and somebody is told so. */
function soldOut(told: Answer, sold_out_at: string | null = LATER): World {
  return world(
    [
      [issue(1), issued(1)],
      [issue(2), issued(2, LATER)],
      [issue(3), told],
    ],
    [{}, { issued_at: LATER }],
    (_, { coupons }) => void Object.assign(coupons[0] as object, { sold_out_at }),
  );
}

testCases(checks, [
  [["asked_is_counted"], "what was told to the database twice", drop(6)],
  [["asked_is_counted"], "an answer that is not counted", drop(3)],
  [["asked_is_counted"], "a grant that is not counted, where the rest may be lost", drop(1, false)],
  [["sold_out_is_dated"], "sold out since the grant before the last one", soldOut(since(LATER), AT)],
  [["sold_out_is_dated"], "sold out, and nobody knows since when", soldOut(since(LATER), null)],
  [["sold_out_is_dated"], "told since another time", soldOut(since(AT))],
  [["sold_out_is_dated"], "told no time", soldOut(since(undefined))],
  [
    ["sold_out_is_dated"],
    "a restock that leaves it sold out",
    world([[issue(1), issued(1)]], [{}], (_, { coupons }) => {
      Object.assign(coupons[0] as object, { sold_out_at: AT });
    }),
  ],
]);

test("what holds: a count that may lack an unknown attempt, and what a killed server took along", () => {
  for (const world of [drop(4), drop(5), drop(2, false), soldOut(since(LATER))])
    assert.deepEqual(brokenIn(world), []);
});

test("what holds: sold out since each of its last units, before and after a restock", () => {
  const restocked = world(
    [
      [issue(1), issued(1)],
      [issue(2), issued(2)],
      [issue(3), since(AT)],
      [restock(3), changed],
      [issue(4), issued(3, LATER)],
      [issue(5), since(LATER)],
    ],
    [{}, {}, { user: 4, issued_at: LATER }],
    (history, state) => {
      counting(3)(history, state);
      Object.assign(state.coupons[0] as object, { sold_out_at: LATER });
    },
  );
  assert.deepEqual(brokenIn(restocked), []);
});

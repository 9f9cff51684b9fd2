/** Days that are not filled as they were planned, by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Answer, Ask } from "../history.ts";
import * as checks from "./plans.ts";
import {
  type Attempts,
  brokenIn,
  changed,
  testCases,
  unasked,
  unknown,
  type World,
  withdrawn,
  world,
} from "./world.ts";

/** 1970-01-02, the day after the epoch of a world: a Friday. */
const FRIDAY = "1970-01-02";
const plan: Ask = { kind: "plan", weekday: 5, message: "p", count: 7 };
const fill: Ask = { kind: "fill", last: FRIDAY };
const withdraw: Ask = { kind: "withdraw", coupon: 9 };
const filled = (days: Record<string, number>): Answer => ({ is: "ok", outcome: "filled", days });

/** Coupons with these ids, which are planned for the day. */
function days(attempts: Attempts, ids: number[], count = 7): World {
  return world([[plan, changed], ...attempts], [], (_, { coupons }) => {
    for (const id of ids) coupons.push(unasked(id, { message: "p", count, start: Date.parse(FRIDAY) }));
  });
}

testCases(checks, [
  [["plan_is_kept"], "it has no coupon", days([[fill, filled({})]], [])],
  [["plan_is_kept"], "its coupon is gone", days([[fill, filled({ [FRIDAY]: 9 })]], [])],
  [["plan_is_kept"], "it has two", days([[fill, filled({ [FRIDAY]: 9 })]], [9, 10])],
  [
    ["plan_is_kept"],
    "it is filled again after its coupon was withdrawn",
    days(
      [
        [fill, filled({ [FRIDAY]: 9 })],
        [withdraw, withdrawn],
        [fill, filled({ [FRIDAY]: 10 })],
      ],
      [10],
    ),
  ],
  [
    ["plan_is_kept", "restock_is_kept"],
    "it has a count that nobody planned",
    days([[fill, filled({ [FRIDAY]: 9 })]], [9], 8),
  ],
  [
    ["plan_is_kept"],
    "it is told to have one coupon and then another",
    days(
      [
        [fill, filled({ [FRIDAY]: 9 })],
        [fill, filled({ [FRIDAY]: 10 })],
      ],
      [9],
    ),
  ],
  [
    ["plan_is_kept"],
    "its coupon was withdrawn and is there",
    days(
      [
        [fill, filled({ [FRIDAY]: 9 })],
        [withdraw, withdrawn],
      ],
      [9],
    ),
  ],
  [
    ["plan_is_kept"],
    "it is of another weekday than what was planned",
    world([[{ ...plan, weekday: 6 } as Ask, changed]], [], (_, { coupons }) => {
      coupons.push(unasked(9, { message: "p", count: 7, start: Date.parse(FRIDAY) }));
    }),
  ],
]);

test("right: it is there or withdrawn, and of what was not told nobody knows", () => {
  const made = [fill, filled({ [FRIDAY]: 9 })] as Attempts[number];
  assert.deepEqual(brokenIn(days([made, made], [9])), []);
  assert.deepEqual(brokenIn(days([made, [withdraw, withdrawn], made], [])), []);
  const lost: Attempts = [
    [fill, unknown],
    [fill, filled({ [FRIDAY]: 9 }), { request: 1 }],
  ];
  assert.deepEqual(brokenIn(days(lost, [9])), []);
  assert.deepEqual(
    brokenIn(days([[fill, filled({}), { invokedAt: 0 }]], [])),
    [],
    "it was not planned by then",
  );
});

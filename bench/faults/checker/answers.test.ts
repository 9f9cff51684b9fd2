/** Answers that do not come, come late or say what the contract does not know. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as checks from "./answers.ts";
import { check } from "./check.ts";
import { issue, issued, overloaded, testCases, unknown, world } from "./world.ts";

testCases(checks, [
  [
    ["unknown_is_answered"],
    "an unknown answer stays one",
    world(
      [
        [issue(1), unknown],
        [issue(1), overloaded, { request: 0 }],
      ],
      [],
    ),
  ],
  [
    ["unknown_is_answered"],
    "an answer is unknown after it was known",
    world(
      [
        [issue(1), issued(1)],
        [issue(1), unknown, { request: 0 }],
      ],
      [{}],
    ),
  ],
  [
    ["answered_in_time"],
    "an answer after its deadline",
    world([[issue(1), issued(1), { answeredAt: 10_001 }]], [{}]),
  ],
  [
    ["answers_of_the_contract"],
    "an internal error",
    world(
      [
        [issue(1), { is: "wrong", outcome: "500 internal_error" }],
        [issue(1), issued(1), { request: 0 }],
      ],
      [{}],
    ),
  ],
]);

test("time in which the server itself stood still is no server's delay", () => {
  const { history, state } = world([[issue(1), issued(1), { answeredAt: 12_000 }]], [{}]);
  const stroke = { from: 1_000, until: 4_000, wellAt: 4_000 };
  assert.equal(check({ ...history, strokes: [{ ...stroke, isServers: true }] }, state).violations.length, 0);
  assert.equal(check({ ...history, strokes: [{ ...stroke, isServers: false }] }, state).violations.length, 1);
});

test("time in which the clients did not run is no server's delay, and counts once", () => {
  const { history, state } = world([[issue(1), issued(1), { answeredAt: 12_000 }]], [{}]);
  const violations = (until: number) =>
    check(
      {
        ...history,
        stalls: [
          { from: 1_000, until },
          { from: 500, until: 2_000 },
        ],
        strokes: [{ from: 1_000, until: 2_000, wellAt: 2_000, isServers: true }],
      },
      state,
    ).violations.map(({ invariant }) => invariant);
  assert.deepEqual(violations(2_500), []);
  assert.deepEqual(violations(2_400), ["answered_in_time"]);
});

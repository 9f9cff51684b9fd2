/** Users who are told to be forgotten, and are not, by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as checks from "./forgotten.ts";
import {
  type Attempts,
  again,
  brokenIn,
  forget,
  forgotten,
  issue,
  issued,
  refused,
  scan,
  testCases,
  used,
  type World,
  world,
} from "./world.ts";

/** User 1, who used the coupon as r before; as the database names it now. */
function told(attempts: Attempts, use_reference: string, places: string[] = []): World {
  const before: Attempts = [
    [issue(1), issued(1)],
    [scan(1), used],
  ];
  return world([...before, ...attempts], [{ use_reference }], (_, { traces }) => {
    traces.push(...places.map((place) => ({ user: 1, place })));
  });
}

testCases(checks, [
  [["forgotten_is_gone"], "the name is still there", told([[forget, forgotten]], "(forgotten)", ["users"])],
  [
    ["forgotten_is_gone"],
    "a till is told the use as before",
    told(
      [
        [forget, forgotten],
        [scan(1), used],
      ],
      "(forgotten)",
    ),
  ],
]);

test("right: the grant stays, and no till finds it; wrong: nobody is forgotten who was not to be", () => {
  const gone: Attempts = [
    [forget, forgotten],
    [scan(1), refused("claim_not_found")],
    [issue(1), again(1)],
  ];
  assert.deepEqual(brokenIn(told(gone, "(forgotten)")), []);
  assert.deepEqual(brokenIn(told([], "r", ["users"])), []);
  assert.deepEqual(brokenIn(told([], "(forgotten)")), ["use_is_kept", "use_was_asked_for"]);
  assert.deepEqual(
    brokenIn(
      told(
        [
          [scan(1), refused("claim_not_found")],
          [forget, forgotten],
        ],
        "(forgotten)",
      ),
    ),
    ["holder_is_not_refused", "refusal_is_true"],
  );
});

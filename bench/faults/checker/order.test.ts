/** Who was overtaken, or granted after it was sold out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as checks from "./order.ts";
import {
  again,
  brokenIn,
  changed,
  counting,
  issue,
  issued,
  refused,
  restock,
  testCases,
  unknown,
  world,
} from "./world.ts";

testCases(checks, [
  [
    ["refusal_is_true", "sold_out_is_final"],
    "granted to one who asked after sold_out",
    world(
      [
        [issue(1), issued(1)],
        [issue(3), refused("sold_out")],
        [issue(2), issued(2)],
      ],
      [{}, {}],
    ),
  ],
  [
    ["first_come_first_served"],
    "overtaken",
    world(
      [
        [issue(2), issued(2)],
        [issue(1), issued(1)],
      ],
      [{}, {}],
    ),
  ],
]);

test("a restock between sold_out and a grant allows it, an earlier one doesn't", () => {
  const at = (when: { invokedAt: number; answeredAt: number }) =>
    brokenIn(
      world(
        [
          [issue(1), issued(1)],
          [issue(2), issued(2)],
          [issue(3), refused("sold_out")],
          [restock(3), changed, when],
          [issue(4), issued(3)],
        ],
        [{}, {}, { user: 4 }],
        counting(3),
      ),
    );
  assert.deepEqual(at({ invokedAt: 6, answeredAt: 7 }), []);
  assert.deepEqual(at({ invokedAt: 3, answeredAt: 4.5 }), []);
  assert.deepEqual(at({ invokedAt: 3, answeredAt: 3.5 }).toSorted(), [
    "refusal_is_true",
    "sold_out_is_final",
  ]);
  assert.deepEqual(at({ invokedAt: 10, answeredAt: 11 }).toSorted(), ["sold_out_is_final", "within_count"]);
});

test("what may have overlapped proves nothing: an unknown attempt counts from its first sending", () => {
  const overtaken = (invokedAt: number) =>
    brokenIn(
      world(
        [
          [issue(1), unknown, { invokedAt }],
          [issue(2), issued(2), { invokedAt: 1, answeredAt: 2 }],
          [issue(1), again(1), { request: 0, invokedAt: 8, answeredAt: 9 }],
        ],
        [{}, {}],
      ),
    );
  assert.deepEqual(overtaken(0), []);
  assert.deepEqual(overtaken(3), ["first_come_first_served"]);
});

/** Numbers that do not agree, each broken by hand. */
import * as checks from "./counts.ts";
import { AT, changed, counting, issue, issued, restock, testCases, world } from "./world.ts";

testCases(checks, [
  [
    ["counts_agree"],
    "a position is given twice",
    world(
      [
        [issue(1), issued(1)],
        [issue(2), issued(1), { invokedAt: 0 }],
      ],
      [{}, { position: 1 }],
    ),
  ],
  [
    ["counts_agree"],
    "the counter runs ahead",
    world([[issue(1), issued(1)]], [{}], (_, { coupons }) => {
      Object.assign(coupons[0] as object, { issued: 2, sold_out_at: AT });
    }),
  ],
  [["counts_agree"], "a coupon is gone", world([], [], (_, state) => void state.coupons.pop())],
  [
    ["counts_agree"],
    "a grant of a coupon that isn't there",
    world([[issue(1, 2), issued(1)]], [{ coupon: 2 }], (history, state) => {
      history.counts.delete(2);
      state.coupons.pop();
    }),
  ],
  [
    ["within_count"],
    "one more than count, before it was restocked",
    world(
      [
        [issue(1), issued(1)],
        [issue(2), issued(2)],
        [issue(3), issued(3)],
        [restock(3), changed],
      ],
      [{}, {}, {}],
      counting(3),
    ),
  ],
  [
    ["within_count"],
    "one more than count",
    world(
      [
        [issue(1), issued(1)],
        [issue(2), issued(2)],
        [issue(3), issued(3)],
      ],
      [{}, {}, {}],
    ),
  ],
  [
    ["one_a_day"],
    "two coupons a day",
    world(
      [
        [issue(1), issued(1)],
        [issue(1, 2), issued(1)],
      ],
      [{}, { user: 1, coupon: 2, position: 1 }],
    ),
  ],
  [
    ["one_a_day"],
    "of another day than its time",
    world([[issue(1), issued(1)]], [{ issued_on: "2020-01-01" }]),
  ],
  [
    ["one_a_day"],
    "two coupons a day, each said to be of another",
    world(
      [
        [issue(1), issued(1)],
        [issue(1, 2), issued(1)],
      ],
      [{}, { user: 1, coupon: 2, position: 1, issued_on: "2026-11-23" }],
    ),
  ],
]);

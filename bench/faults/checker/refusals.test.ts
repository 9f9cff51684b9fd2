/** Refusals that must not be, each told by hand. */
import * as checks from "./refusals.ts";
import { issue, issued, refused, restock, testCases, use, used, world } from "./world.ts";

testCases(checks, [
  [
    ["holder_is_not_refused"],
    "a holder is told sold_out",
    world(
      [
        [issue(1), issued(1)],
        [issue(2), issued(2)],
        [issue(1), refused("sold_out")],
      ],
      [{}, {}],
    ),
  ],
  [
    ["holder_is_not_refused"],
    "a holder is told not_issued",
    world(
      [
        [issue(1), issued(1)],
        [use(1), refused("not_issued")],
      ],
      [{}],
    ),
  ],
  [
    ["holder_is_not_refused", "refusal_is_true"],
    "a holder is told expired",
    world(
      [
        [issue(1), issued(1)],
        [use(1), refused("expired")],
      ],
      [{}],
    ),
  ],
  [
    ["holder_is_not_refused", "refusal_is_true"],
    "a use is told again as another's",
    world(
      [
        [issue(1), issued(1)],
        [use(1), used],
        [use(1), refused("already_used")],
      ],
      [{ use_reference: "r" }],
    ),
  ],
  [
    ["refusal_is_true"],
    "sold_out with units left",
    world(
      [
        [issue(1), issued(1)],
        [issue(2), refused("sold_out")],
      ],
      [{}],
    ),
  ],
  [["refusal_is_true"], "a day that isn't spent", world([[issue(1), refused("daily_limit_reached")]], [])],
  [
    ["refusal_is_true"],
    "a day that is spent later",
    world(
      [
        [issue(1), refused("daily_limit_reached")],
        [issue(1, 2), issued(1), { invokedAt: 100, answeredAt: 101 }],
      ],
      [{ coupon: 2 }],
    ),
  ],
  [
    ["refusal_is_true"],
    "a day that was spent the day before",
    world(
      [
        [issue(1, 2), issued(1, "2026-11-21T10:00:00.000001Z")],
        [issue(3), issued(1)],
        [issue(1), refused("daily_limit_reached")],
      ],
      [
        { coupon: 2, issued_on: "2026-11-21", issued_at: "2026-11-21T10:00:00.000001Z" },
        { user: 3, position: 1 },
      ],
    ),
  ],
  [
    ["refusal_is_true"],
    "a count that no other coupon of the day has",
    world([[restock(5), refused("count_taken")]], []),
  ],
  [
    ["refusal_is_true"],
    "a count that isn't below what is issued",
    world(
      [
        [issue(1), issued(1)],
        [restock(1), refused("below_issued")],
      ],
      [{}],
    ),
  ],
  [
    ["refusal_is_true"],
    "used under another reference, later",
    world(
      [
        [issue(1), issued(1)],
        [use(1), refused("already_used")],
        [use(1, "other"), used],
      ],
      [{ use_reference: "other" }],
    ),
  ],
  [["refusal_is_true"], "paused, which nobody did", world([[issue(1), refused("paused")]], [])],
  [
    ["refusal_is_true"],
    "used under another reference, which nobody did",
    world(
      [
        [issue(1), issued(1)],
        [use(1), refused("already_used")],
      ],
      [{}],
    ),
  ],
]);

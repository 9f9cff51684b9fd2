/** Refusals that must not be, each told by hand. */
import { STRANGERS } from "../history.ts";
import * as checks from "./refusals.ts";
import {
  AT,
  changed,
  create,
  issue,
  issued,
  made,
  move,
  refused,
  restock,
  restored,
  saying,
  scan,
  testCases,
  undo,
  use,
  used,
  world,
} from "./world.ts";

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
  [
    ["refusal_is_true"],
    "not_started after the start that it was moved to",
    world(
      [
        [create("m", 9_000), made],
        [move(100), changed],
        [issue(STRANGERS), refused("not_started"), { invokedAt: 200, answeredAt: 201 }],
      ],
      [],
      saying("m", 100),
    ),
  ],
  [
    ["refusal_is_true"],
    "asked by nobody, before its start",
    world(
      [
        [create("m", 9_000), made],
        [issue(STRANGERS), refused("user_not_found")],
      ],
      [],
      saying("m", 9_000),
    ),
  ],
  [
    ["refusal_is_true"],
    "a user who is there",
    world(
      [
        [create(), made],
        [issue(1), refused("user_not_found")],
      ],
      [],
    ),
  ],
  [
    ["refusal_is_true"],
    "a coupon that nobody withdrew",
    world(
      [
        [create(), made],
        [issue(1), refused("coupon_not_found")],
      ],
      [],
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
  [
    ["refusal_is_true"],
    "not used, though a till was told that it is",
    world(
      [
        [issue(1), issued(1)],
        [scan(1), used],
        [undo(1), refused("not_used")],
      ],
      [{ use_reference: "r" }],
    ),
  ],
  [
    ["refusal_is_true"],
    "used by another till, of which there is none",
    world(
      [
        [issue(1), issued(1)],
        [scan(1), used],
        [undo(1), refused("used_by_another")],
      ],
      [{ use_reference: "r" }],
    ),
  ],
  [
    ["refusal_is_true"],
    "taken by another till, which has taken it back before",
    world(
      [
        [issue(1), issued(1)],
        [scan(1), used],
        [undo(1), restored],
        [scan(2), refused("already_used")],
      ],
      [{}],
      (_, { uses }) => {
        for (const isUndo of [false, true])
          uses.push({ coupon: 1, user: 1, reference: "r", used_date: AT, isUndo });
      },
    ),
  ],
  [
    ["refusal_is_true", "holder_is_not_refused"],
    "no such code, though nobody was forgotten",
    world(
      [
        [issue(1), issued(1)],
        [scan(1), refused("claim_not_found")],
      ],
      [{}],
    ),
  ],
]);

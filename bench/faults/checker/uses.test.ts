/** Uses that were told and uses that are there, each broken by hand. */
import * as checks from "./uses.ts";
import { AT, issue, issued, testCases, use, used, world } from "./world.ts";

testCases(checks, [
  [
    ["use_is_kept"],
    "an acknowledged use is gone",
    world(
      [
        [issue(1), issued(1)],
        [use(1), used],
      ],
      [{}],
    ),
  ],
  [
    ["use_is_kept", "use_was_asked_for"],
    "an acknowledged use has another reference",
    world(
      [
        [issue(1), issued(1)],
        [use(1), used],
      ],
      [{ use_reference: "other" }],
    ),
  ],
  [
    ["use_is_kept"],
    "an acknowledged use without its time",
    world(
      [
        [issue(1), issued(1)],
        [use(1), { is: "ok", outcome: "used" }],
      ],
      [{ use_reference: "r" }],
    ),
  ],
  [["use_was_asked_for"], "nobody used it", world([[issue(1), issued(1)]], [{ use_reference: "r" }])],
  [
    ["use_was_asked_for", "used_once"],
    "used under no reference",
    world([[issue(1), issued(1)]], [{ used_date: AT }]),
  ],
  [
    ["used_once"],
    "used twice",
    world(
      [
        [issue(1), issued(1)],
        [use(1), used],
      ],
      [{ use_reference: "r" }],
      (_, { uses }) => {
        uses.push({ coupon: 1, user: 1, reference: "s" });
      },
    ),
  ],
  [
    ["used_once"],
    "used, and not in the audit",
    world(
      [
        [issue(1), issued(1)],
        [use(1), used],
      ],
      [{ use_reference: "r" }],
      (_, state) => {
        state.uses = [];
      },
    ),
  ],
]);

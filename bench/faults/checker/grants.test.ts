/** Grants that were told and grants that are there, each broken by hand. */
import * as checks from "./grants.ts";
import { again, issue, issued, testCases, world } from "./world.ts";

testCases(checks, [
  [["grant_is_kept"], "an acknowledged grant is gone", world([[issue(1), issued(1)]], [])],
  [["grant_is_kept"], "an acknowledged grant has another position", world([[issue(1), issued(2)]], [{}])],
  [
    ["grant_is_kept"],
    "a replay tells another time",
    world(
      [
        [issue(1), issued(1)],
        [issue(1), again(1, "2026-11-22T10:00:01Z")],
      ],
      [{}],
    ),
  ],
  [
    ["grant_is_kept"],
    "an acknowledged grant without its time",
    world([[issue(1), { is: "ok", outcome: "issued", position: 1 }]], [{}]),
  ],
  [["grant_was_asked_for"], "nobody asked for it", world([], [{}])],
  [
    ["grant_is_kept", "one_grant_a_request", "one_a_day"],
    "a retry takes a second unit",
    world(
      [
        [issue(1), issued(1)],
        [issue(1), issued(2), { request: 0 }],
      ],
      [{}, { user: 1 }],
    ),
  ],
]);

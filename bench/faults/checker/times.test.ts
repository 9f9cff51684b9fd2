/** Coupons that somebody has before their time, by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as checks from "./times.ts";
import {
  AT,
  brokenIn,
  changed,
  create,
  early,
  issue,
  issued,
  made,
  members,
  refused,
  testCases,
  world,
} from "./world.ts";

/** When a grant of a world is made; its clients' clock begins then. */
const NOW = Date.parse(AT);
const HOUR = 3_600_000;
const now: Parameters<typeof world>[2] = (history) => {
  history.epoch = NOW;
};
const and =
  (...changes: NonNullable<Parameters<typeof world>[2]>[]): Parameters<typeof world>[2] =>
  (history, state) => {
    for (const change of changes) change(history, state);
  };

testCases(checks, [
  [
    ["not_before_its_time"],
    "it starts in an hour",
    world(
      [
        [create("m", NOW + HOUR), made],
        [issue(1), issued(1)],
      ],
      [{}],
      and(now, members(null, NOW + HOUR)),
    ),
  ],
  [
    ["not_before_its_time"],
    "who is not in its group has it before it starts",
    world(
      [
        [create("m", NOW + HOUR), made],
        [early(NOW - HOUR), changed],
        [issue(7), issued(1)],
      ],
      [{ user: 7 }],
      and(now, members(NOW - HOUR, NOW + HOUR)),
    ),
  ],
  [
    ["not_before_its_time"],
    "a member has it before it starts for the group",
    world(
      [
        [create("m", NOW + 2 * HOUR), made],
        [early(NOW + HOUR), changed],
        [issue(8), issued(1)],
      ],
      [{ user: 8 }],
      and(now, members(NOW + HOUR, NOW + 2 * HOUR)),
    ),
  ],
  [
    ["not_before_its_time"],
    "a member of the group has another coupon before it starts",
    world(
      [
        [create("m", NOW + HOUR), made],
        [issue(8), issued(1)],
      ],
      [{ user: 8 }],
      and(now, members(null, NOW + HOUR)),
    ),
  ],
  [
    ["not_before_its_time"],
    "its time is right, but it was told before",
    world(
      [
        [create("m", NOW), made],
        [issue(1), issued(1)],
      ],
      [{}],
      and(members(null, NOW), (history) => {
        history.epoch = NOW - HOUR;
      }),
    ),
  ],
  [
    ["refusal_is_true"],
    "a member is told not_started although it has, for the group",
    world(
      [
        [create("m", NOW + HOUR), made],
        [early(NOW - HOUR), changed],
        [issue(8), refused("not_started")],
      ],
      [],
      and(now, members(NOW - HOUR, NOW + HOUR)),
    ),
  ],
  [
    ["correction_is_kept"],
    "another start of the group than was asked for last",
    world(
      [
        [create("m", NOW + HOUR), made],
        [early(NOW - HOUR), changed],
        [early(NOW - 2 * HOUR), changed],
      ],
      [],
      and(now, members(NOW - HOUR, NOW + HOUR)),
    ),
  ],
  [
    ["operator_is_not_refused"],
    "a start of the group is refused as past, and is to come",
    world(
      [
        [create("m", NOW + 2 * HOUR), made],
        [early(NOW + HOUR), refused("in_the_past")],
      ],
      [],
      and(now, members(null, NOW + 2 * HOUR)),
    ),
  ],
]);

test("right: a member early, the others from the start on, and refusals until then", () => {
  const right = world(
    [
      [create("m", NOW + HOUR), made],
      [early(NOW - HOUR), changed],
      [issue(7), refused("not_started")],
      [issue(8), issued(1)],
      [early(NOW - 2 * HOUR), refused("already_started")],
    ],
    [{ user: 8 }],
    and(now, members(NOW - HOUR, NOW + HOUR)),
  );
  assert.deepEqual(brokenIn(right), []);
});

/** Coupons that are not corrected, moved or withdrawn as it was told, by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { STRANGERS } from "../history.ts";
import * as checks from "./lives.ts";
import {
  brokenIn,
  changed,
  create,
  edit,
  forget,
  gone,
  issue,
  issued,
  made,
  move,
  refused,
  saying,
  testCases,
  unasked,
  unknown,
  withdraw,
  withdrawn,
  world,
} from "./world.ts";

const later = (at: number) => ({ invokedAt: at, answeredAt: at + 1 });

testCases(checks, [
  [
    ["correction_is_kept"],
    "a correction that is not there",
    world(
      [
        [create(), made],
        [edit("corrected"), changed],
      ],
      [],
    ),
  ],
  [
    ["correction_is_kept", "operator_is_not_refused"],
    "a correction that was refused is there",
    world(
      [
        [create(), made],
        [edit("corrected"), refused("coupon_not_found")],
      ],
      [],
      saying("corrected"),
    ),
  ],
  [
    ["correction_is_kept"],
    "a start that an earlier move had",
    world(
      [
        [create(), made],
        [move(500), changed],
        [move(900), changed],
      ],
      [],
      saying("m", 500),
    ),
  ],
  [
    ["withdrawn_is_gone"],
    "it is there",
    world(
      [
        [create(), made],
        [withdraw, withdrawn],
      ],
      [],
    ),
  ],
  [
    ["withdrawn_is_gone"],
    "a refusal of before is told after it",
    world(
      [
        [create("m", 10_000), made],
        [withdraw, withdrawn],
        [issue(1), refused("not_started")],
      ],
      [],
      gone,
    ),
  ],
  [
    ["withdrawn_is_gone", "counts_agree"],
    "somebody has it",
    world(
      [
        [create(), made],
        [issue(1), issued(1)],
        [withdraw, withdrawn],
      ],
      [{}],
      gone,
    ),
  ],
  [
    ["id_is_new"],
    "two coupons with one id",
    world(
      [
        [create("first"), made],
        [withdraw, withdrawn],
        [create("m"), made],
      ],
      [],
      gone,
    ),
  ],
  [
    ["operator_is_not_refused"],
    "a code that is free",
    world(
      [
        [create("first"), made],
        [withdraw, withdrawn],
        [create(), refused("code_taken")],
      ],
      [],
      gone,
    ),
  ],
  [
    ["operator_is_not_refused"],
    "a start that is to come",
    world(
      [
        [create("m", 9_000), made],
        [move(8_000), refused("in_the_past")],
      ],
      [],
      saying("m", 9_000),
    ),
  ],
  [
    ["operator_is_not_refused"],
    "a plan",
    world([[{ kind: "plan", weekday: 1, message: "p", count: 1 }, refused("count_taken")]], []),
  ],
  [
    ["operator_is_not_refused"],
    "a day that is long over",
    world([[{ kind: "retire", before: "2026-01-01", most: 8 }, refused("too_recent")]], []),
  ],
  [["operator_is_not_refused"], "a user who is there", world([[forget, refused("user_not_found")]], [])],
  [
    ["operator_is_not_refused"],
    "has_grants, which it hasn't",
    world(
      [
        [create(), made],
        [withdraw, refused("has_grants")],
      ],
      [],
    ),
  ],
]);

test("right: what nobody was told of may be there or not, and be in the way", () => {
  const answered = world(
    [
      [create("m", 500), made],
      [issue(1), refused("not_started")],
      [move(100), unknown, { request: 3 }],
      [issue(1), refused("not_started"), later(300)],
      [move(100), changed, { ...later(302), request: 3 }],
      [withdraw, unknown, { ...later(304), request: 4 }],
      [issue(STRANGERS), refused("user_not_found"), later(306)],
      [issue(1), refused("coupon_not_found"), later(308)],
      [
        withdraw,
        { ...withdrawn, outcome: "already_withdrawn" } as typeof withdrawn,
        { ...later(400), request: 4 },
      ],
      [create("again"), unknown, { ...later(402), request: 5 }],
      [create("third"), refused("code_taken"), { ...later(404), request: 6 }],
      [create("again"), { ...made, coupon: 2 } as typeof made, { ...later(406), request: 5 }],
    ],
    [],
    (history, state) => {
      history.counts.set(2, 2);
      state.coupons = [unasked(2, { message: "again" })];
    },
  );
  assert.deepEqual(brokenIn(answered), []);
});

test("right: a coupon that a create made late, of which nobody was told; wrong: one that nobody asked for", () => {
  const late = (count: number) =>
    world(
      [
        [create(), unknown, { request: 0 }],
        [create(), made, { request: 0 }],
        [withdraw, withdrawn],
      ],
      [],
      (_, state) => {
        state.coupons = [unasked(9, { count })];
      },
    );
  assert.deepEqual(brokenIn(late(2)), []);
  assert.deepEqual(brokenIn(late(3)), ["restock_is_kept"]);
});

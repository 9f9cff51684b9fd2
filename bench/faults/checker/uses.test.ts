/** Uses that were told and uses that are there, each broken by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as checks from "./uses.ts";
import {
  AT,
  type Attempts,
  brokenIn,
  issue,
  issued,
  refused,
  restored,
  scan,
  testCases,
  undo,
  unknown,
  use,
  used,
  type World,
  world,
} from "./world.ts";

const LATER = "2026-11-22T10:00:00.000009Z";
const usedLater = { ...used, at: LATER } as typeof used;

/** User 1 at tills; what the audit tells at last, by turns a use and its undo, is of these times. */
function atTills(attempts: Attempts, times: string[], reference = "r"): World {
  const isUsed = times.length % 2 === 1;
  const grant = isUsed ? { used_date: times.at(-1) as string, use_reference: reference } : {};
  return world([[issue(1), issued(1)], ...attempts], [grant], (_, state) => {
    state.uses = times.map((used_date, i) => ({
      coupon: 1,
      user: 1,
      reference,
      used_date,
      isUndo: i % 2 === 1,
    }));
  });
}

/** The audit misses the undo. */
function tellTwo(given: World): World {
  given.state.uses = given.state.uses.filter(({ isUndo }) => !isUndo);
  return given;
}

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
        uses.push({ coupon: 1, user: 1, reference: "s", used_date: AT, isUndo: false });
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
  [
    ["use_is_kept"],
    "a use that a till was told to have taken back",
    atTills(
      [
        [scan(1), used],
        [undo(1), restored],
      ],
      [AT],
    ),
  ],
  [
    ["use_is_kept"],
    "the first use, and not the one that followed its undo",
    atTills(
      [
        [scan(1), used],
        [undo(1), restored],
        [scan(2), usedLater],
      ],
      [AT, AT],
    ),
  ],
  [["use_is_kept", "use_was_asked_for"], "nobody took it back", atTills([[scan(1), used]], [AT, AT])],
  [
    ["use_is_kept", "use_was_asked_for"],
    "a till took back the use of another one",
    atTills(
      [
        [scan(1), used],
        [undo(2), refused("used_by_another")],
      ],
      [AT, AT],
    ),
  ],
  [
    ["used_once"],
    "two tills were told one use",
    atTills(
      [
        [scan(1), used],
        [scan(2), used],
      ],
      [AT],
    ),
  ],
  [
    ["used_once"],
    "a second use before the first one was taken back",
    atTills(
      [
        [scan(1), used],
        [scan(2), usedLater],
        [undo(1), restored],
      ],
      [AT, AT, LATER],
    ),
  ],
  [
    ["used_once"],
    "the audit tells two uses, and no undo",
    tellTwo(
      atTills(
        [
          [scan(1), used],
          [undo(1), restored],
          [scan(1), usedLater],
        ],
        [AT, AT, LATER],
      ),
    ),
  ],
]);

/** A till that does not know whether its undo was done, and whose repetition finds nothing to undo. */
const lost: Attempts = [
  [scan(1), used],
  [undo(1), unknown],
  [undo(1), refused("not_used"), { request: 2 }],
];

test("right: what a till took back is used again; an undo without an answer may be done, once", () => {
  const again: Attempts = [
    [scan(1), used],
    [scan(2), refused("already_used")],
    [undo(1), restored],
    [scan(2), usedLater],
  ];
  assert.deepEqual(brokenIn(atTills([...again, [scan(1), refused("already_used")]], [AT, AT, LATER])), []);
  for (const till of [1, 2])
    assert.deepEqual(brokenIn(atTills([...lost, [scan(till), usedLater]], [AT, AT, LATER])), []);
});

test("wrong: an undo without an answer took back a later use than the one that it means", () => {
  const undone = atTills([...lost, [scan(1), usedLater]], [AT, AT, LATER, LATER]);
  assert.deepEqual(brokenIn(undone).toSorted(), ["use_is_kept", "use_was_asked_for"]);
});

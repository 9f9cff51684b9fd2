/** Each invariant, broken by hand in a history that is otherwise right. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { check, INVARIANTS, type Invariant } from "./checker.ts";
import { type Answer, type Ask, type FinalState, type History, newHistory } from "./history.ts";

const AT = "2026-11-22T10:00:00.000001Z";
const issued = (position: number): Answer => ({ is: "ok", outcome: "issued", position, at: AT });
const again = (position: number): Answer => ({ is: "ok", outcome: "already_issued", position, at: AT });
const used: Answer = { is: "ok", outcome: "used", at: AT };
const refused = (outcome: string): Answer => ({ is: "refused", outcome });
const overloaded: Answer = { is: "undone", outcome: "overloaded" };
const unknown: Answer = { is: "unknown", outcome: "outcome_unknown" };

const issue = (user: number, coupon = 1): Ask => ({ kind: "issue", coupon, user });
const use = (user: number, reference = "r"): Ask => ({ kind: "use", coupon: 1, user, reference });
const restock = (count: number): Ask => ({ kind: "restock", coupon: 1, count });
const changed: Answer = { is: "ok", outcome: "changed" };
const counting =
  (count: number) =>
  (_: History, { coupons }: FinalState) => {
    (coupons[0] as { count: number }).count = count;
  };

/** Attempts by request; each takes 1 ms, and the next one is invoked 1 ms later, unless told otherwise. */
function world(
  attempts: [
    ask: Ask,
    answer: Answer,
    given?: { request?: number; invokedAt?: number; answeredAt?: number },
  ][],
  grants: Partial<FinalState["grants"][number]>[],
  change: (history: History, state: FinalState) => void = () => {},
) {
  const history = newHistory(1, new Map([[1, 2]]));
  for (const [i, [ask, answer, given = {}]] of attempts.entries())
    history.attempts.push({ request: i, ask, answer, invokedAt: 2 * i, answeredAt: 2 * i + 1, ...given });
  const state: FinalState = {
    coupons: [],
    grants: grants.map((grant, i) => ({
      coupon: 1,
      user: i + 1,
      position: i + 1,
      issued_on: "2026-11-22",
      issued_at: AT,
      used_date: grant.use_reference ? AT : null,
      use_reference: null,
      ...grant,
    })),
    uses: [],
    broken: [],
  };
  for (const { coupon, user, use_reference } of state.grants)
    if (use_reference) state.uses.push({ coupon, user, reference: use_reference });
  for (const coupon of new Set([1, ...state.grants.map((grant) => grant.coupon)])) {
    if (!history.counts.has(coupon)) history.counts.set(coupon, 2);
    const rows = state.grants.filter((grant) => grant.coupon === coupon).length;
    state.coupons.push({ coupon, count: 2, issued: rows });
  }
  change(history, state);
  return { history, state };
}

const brokenIn = ({ history, state }: ReturnType<typeof world>) => [
  ...new Set(check(history, state).violations.map(({ invariant }) => invariant)),
];

/** Two units, four users, a use, retries and refusals: all right. */
const right = world(
  [
    [issue(1), issued(1)],
    [issue(2), unknown],
    [issue(2), again(2), { request: 1 }],
    [issue(3), refused("sold_out")],
    [issue(4), overloaded],
    [issue(4), refused("sold_out"), { request: 4 }],
    [issue(1), again(1)],
    [use(1), unknown],
    [use(1), used, { request: 7 }],
    [use(1, "other"), refused("already_used")],
    [issue(5), overloaded],
  ],
  [{ use_reference: "r" }, {}],
  ({ strokes, memory }) => {
    strokes.push({ from: 1, until: 2, wellAt: 4, isServers: false });
    memory.push(100, 120, 110);
  },
);

test("a right history breaks nothing, and every invariant but the restock's own was held against something", () => {
  const { violations, checked } = check(right.history, right.state);
  assert.deepEqual(violations, []);
  assert.deepEqual(
    Object.entries(checked).filter(([, times]) => times === 0),
    [],
  );
  assert.deepEqual(Object.keys(checked), Object.keys(INVARIANTS));
});

const cases: [Invariant[], string, ReturnType<typeof world>][] = [
  [["grant_is_kept"], "an acknowledged grant is gone", world([[issue(1), issued(1)]], [])],
  [["grant_is_kept"], "an acknowledged grant has another position", world([[issue(1), issued(2)]], [{}])],
  [
    ["grant_is_kept"],
    "a replay tells another time",
    world(
      [
        [issue(1), issued(1)],
        [issue(1), { ...again(1), at: "2026-11-22T10:00:01Z" } as Answer],
      ],
      [{}],
    ),
  ],
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
  [["restock_is_kept"], "an acknowledged restock is gone", world([[restock(5), changed]], [])],
  [
    ["restock_is_kept"],
    "the second of two restocks is gone",
    world(
      [
        [restock(5), changed],
        [restock(7), changed],
      ],
      [],
      counting(5),
    ),
  ],
  [["restock_is_kept"], "a count that nobody asked for", world([], [], counting(5))],
  [
    ["grant_is_kept"],
    "an acknowledged grant without its time",
    world([[issue(1), { is: "ok", outcome: "issued", position: 1 }]], [{}]),
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
  [["grant_was_asked_for"], "nobody asked for it", world([], [{}])],
  [["use_was_asked_for"], "nobody used it", world([[issue(1), issued(1)]], [{ use_reference: "r" }])],
  [
    ["use_was_asked_for", "used_once"],
    "used under no reference",
    world([[issue(1), issued(1)]], [{ used_date: AT }]),
  ],
  [
    ["undone_stays_undone"],
    "restocked, though told that not",
    world([[restock(5), overloaded]], [], counting(5)),
  ],
  [
    ["undone_stays_undone", "refusal_is_true"],
    "restocked, though refused",
    world([[restock(5), refused("below_issued")]], [], counting(5)),
  ],
  [["undone_stays_undone"], "done, though told that not", world([[issue(1), overloaded]], [{}])],
  [
    ["undone_stays_undone"],
    "the first attempt was told that nothing was done, the second that it was",
    world(
      [
        [issue(1), overloaded],
        [issue(1), again(1), { request: 0 }],
      ],
      [{}],
    ),
  ],
  [
    ["undone_stays_undone", "refusal_is_true"],
    "granted after a refusal, without another request",
    world([[issue(1), refused("sold_out")]], [{}]),
  ],
  [
    ["undone_stays_undone"],
    "used, though told that not",
    world(
      [
        [issue(1), issued(1)],
        [use(1), overloaded],
      ],
      [{ use_reference: "r" }],
    ),
  ],
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
      (coupons[0] as { issued: number }).issued = 2;
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
        [issue(1, 2), { ...issued(1), at: "2026-11-21T10:00:00.000001Z" } as Answer],
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
  [
    ["unknown_is_answered"],
    "an unknown answer stays one",
    world(
      [
        [issue(1), unknown],
        [issue(1), overloaded, { request: 0 }],
      ],
      [],
    ),
  ],
  [
    ["unknown_is_answered"],
    "an answer is unknown after it was known",
    world(
      [
        [issue(1), issued(1)],
        [issue(1), unknown, { request: 0 }],
      ],
      [{}],
    ),
  ],
  [
    ["answered_in_time"],
    "an answer after its deadline",
    world([[issue(1), issued(1), { answeredAt: 10_001 }]], [{}]),
  ],
  [
    ["answers_of_the_contract"],
    "an internal error",
    world(
      [
        [issue(1), { is: "wrong", outcome: "500 internal_error" }],
        [issue(1), issued(1), { request: 0 }],
      ],
      [{}],
    ),
  ],
  [
    ["live_again"],
    "not well in time",
    world([], [], ({ strokes }) => {
      strokes.push({ from: 0, until: 1, wellAt: Number.POSITIVE_INFINITY, isServers: false });
    }),
  ],
  [
    ["memory_is_flat"],
    "memory grows",
    world([], [], ({ memory }) => {
      memory.push(100, 130, 165);
    }),
  ],
  [
    ["server_survives"],
    "a server ended",
    world([], [], ({ deaths }) => {
      deaths.push("exit 1");
    }),
  ],
  [
    ["reconcile_is_empty"],
    "reconcile() found something",
    world([], [], (_, { broken }) => {
      broken.push("issued_equals_grants");
    }),
  ],
];

for (const [invariants, name, broken] of cases)
  test(`${invariants.join(", ")}: ${name}`, () => {
    assert.deepEqual(brokenIn(broken).toSorted(), invariants.toSorted());
  });

test("every invariant has a case that breaks it", () => {
  const broken = new Set(cases.flatMap(([invariants]) => invariants));
  assert.deepEqual(
    Object.keys(INVARIANTS).filter((name) => !broken.has(name as Invariant)),
    [],
  );
});

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

test("what is right breaks nothing: restocks that overlap, are refused or may be done late, a day that is spent", () => {
  const overlapping = (count: number) =>
    world(
      [
        [restock(5), changed, { invokedAt: 0, answeredAt: 9 }],
        [restock(7), changed, { invokedAt: 1, answeredAt: 2 }],
      ],
      [],
      counting(count),
    );
  assert.deepEqual([...brokenIn(overlapping(5)), ...brokenIn(overlapping(7))], []);
  const below = world(
    [
      [issue(1), issued(1)],
      [issue(2), issued(2)],
      [restock(1), refused("below_issued")],
    ],
    [{}, {}],
  );
  assert.deepEqual(brokenIn(below), []);
  // Their grant was made after the client had given up, and after the restock.
  const late = world(
    [
      [issue(1), issued(1)],
      [issue(2), issued(2)],
      [issue(3), refused("sold_out")],
      [issue(4), unknown],
      [restock(3), changed],
      [issue(4), again(3), { request: 3 }],
    ],
    [{}, {}, { user: 4 }],
    counting(3),
  );
  assert.deepEqual(brokenIn(late), []);
  const spent = world(
    [
      [issue(1, 2), issued(1)],
      [issue(1), refused("daily_limit_reached")],
    ],
    [{ coupon: 2 }],
  );
  assert.deepEqual(brokenIn(spent), []);
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

test("time in which the server itself stood still is no server's delay", () => {
  const { history, state } = world([[issue(1), issued(1), { answeredAt: 12_000 }]], [{}]);
  const stroke = { from: 1_000, until: 4_000, wellAt: 4_000 };
  assert.equal(check({ ...history, strokes: [{ ...stroke, isServers: true }] }, state).violations.length, 0);
  assert.equal(check({ ...history, strokes: [{ ...stroke, isServers: false }] }, state).violations.length, 1);
});

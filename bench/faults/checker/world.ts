/** Small histories for the tests: right ones, and ones in which something is broken by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Answer, type Ask, type FinalState, type History, newHistory } from "../history.ts";
import { check, INVARIANTS, type Invariant, PROMISES } from "./check.ts";

export const AT = "2026-11-22T10:00:00.000001Z";
export const issued = (position: number, at = AT): Answer => ({ is: "ok", outcome: "issued", position, at });
export const again = (position: number, at = AT): Answer => ({
  is: "ok",
  outcome: "already_issued",
  position,
  at,
});
export const used: Answer = { is: "ok", outcome: "used", at: AT };
export const changed: Answer = { is: "ok", outcome: "changed" };
export const refused = (outcome: string): Answer => ({
  is: "refused",
  outcome,
  ...(outcome === "sold_out" && { at: AT }),
});
export const overloaded: Answer = { is: "undone", outcome: "overloaded" };
export const unknown: Answer = { is: "unknown", outcome: "outcome_unknown" };

export const issue = (user: number, coupon = 1): Ask => ({ kind: "issue", coupon, user });
export const use = (user: number, reference = "r"): Ask => ({ kind: "use", coupon: 1, user, reference });
/** User 1 at a till. */
const shown = { coupon: 1, user: 1, claim: "7K3M-PX2A-9QTD" };
export const scan = (till: number, reference = "r"): Ask => ({ kind: "scan", ...shown, till, reference });
export const undo = (till: number): Ask => ({ kind: "undo", ...shown, till, used: AT });
export const restored: Answer = { is: "ok", outcome: "restored", at: AT };
export const forget: Ask = { kind: "forget", user: 1 };
export const forgotten: Answer = { is: "ok", outcome: "forgotten" };
/** Made as coupon 1. */
export const made: Answer = { is: "ok", outcome: "created", coupon: 1 };
export const create = (message = "m", start = 0): Ask => ({
  kind: "create",
  code: "C",
  message,
  start,
  end: 1e12,
  count: 2,
});
export const edit = (message: string): Ask => ({ kind: "edit", coupon: 1, message });
export const move = (start: number): Ask => ({ kind: "move", coupon: 1, start });
/** Of a world with members(): users from 8 on are in the group. */
export const early = (from: number): Ask => ({ kind: "early", coupon: 1, from });
export const withdraw: Ask = { kind: "withdraw", coupon: 1 };
export const withdrawn: Answer = { is: "ok", outcome: "withdrawn" };
export const restock = (count: number): Ask => ({ kind: "restock", coupon: 1, count });

/** One request each, or another attempt of an earlier one; each takes 1 ms, and the next is sent 1 ms later, unless said. */
export type Attempts = [
  ask: Ask,
  answer: Answer,
  given?: { request?: number; invokedAt?: number; answeredAt?: number },
][];
type Change = (history: History, state: FinalState) => void;

export interface World {
  history: History;
  state: FinalState;
}

/** Coupons of two units; the grants are of coupon 1, to users 1, 2, … at positions 1, 2, …, unless said. */
export function world(
  attempts: Attempts,
  grants: Partial<FinalState["grants"][number]>[],
  change: Change = () => {},
): World {
  const history = { ...newHistory(1, new Map([[1, 2]])), epoch: 0 };
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
    traces: [],
    old: [],
    broken: [],
  };
  for (const { coupon, user, use_reference: reference } of state.grants)
    if (reference) state.uses.push({ coupon, user, reference, used_date: AT, isUndo: false });
  for (const coupon of new Set([1, ...state.grants.map((grant) => grant.coupon)])) {
    if (!history.counts.has(coupon)) history.counts.set(coupon, 2);
    const rows = state.grants.filter((grant) => grant.coupon === coupon).length;
    const asked = history.attempts.filter(
      ({ ask, answer }) =>
        ask.kind === "issue" &&
        ask.coupon === coupon &&
        ["ok", "refused"].includes(answer.is) &&
        answer.outcome !== "coupon_not_found",
    );
    state.coupons.push(
      unasked(coupon, {
        ...{ issued: rows, asked: Math.max(rows, asked.length), sold_out_at: rows >= 2 ? AT : null },
      }),
    );
  }
  change(history, state);
  return { history, state };
}

/** A coupon in the database that nobody asked for. */
export function unasked(
  coupon: number,
  given: Partial<FinalState["coupons"][number]> = {},
): FinalState["coupons"][number] {
  return {
    ...{ coupon, count: 2, issued: 0, asked: 0, sold_out_at: null, message: "m", start: 0, from: null },
    ...given,
  };
}

/** Of a world: the count of coupon 1 in the database. */
export function counting(count: number): Change {
  return (_, { coupons }) => {
    const [row] = coupons as [FinalState["coupons"][number]];
    Object.assign(row, { count, sold_out_at: row.issued >= count ? AT : null });
  };
}

/** Of a world: what coupon 1 says in the database, and when it starts. */
export function saying(message: string, start = 0): Change {
  return (_, { coupons }) => void Object.assign(coupons[0] as object, { message, start });
}

/** Of a world: users from 8 on are in the group, whose coupon 1 is from then on in the database, before it starts. */
export function members(from: number | null, start: number): Change {
  return (history, { coupons }) => {
    history.members = { first: 8, last: 99 };
    Object.assign(coupons[0] as object, { from, start });
  };
}

/** Of a world: nothing is left of coupon 1. */
export const gone: Change = (_, state) => {
  state.coupons = [];
};

/** Each promise that is broken, once. */
export function brokenIn({ history, state }: World): Invariant[] {
  return [...new Set(check(history, state).violations.map(({ invariant }) => invariant))];
}

type Case = [invariants: Invariant[], name: string, broken: World];

/** A test a case, and that each check of this module has a case that breaks its promise. */
export function testCases(checks: Record<string, unknown>, cases: readonly Case[]): void {
  for (const [invariants, name, broken] of cases)
    test(`${invariants.join(", ")}: ${name}`, () => {
      assert.deepEqual(brokenIn(broken).toSorted(), invariants.toSorted());
    });
  test("each promise has a case that breaks it", () => {
    const broken = new Set(cases.flatMap(([invariants]) => invariants));
    const here = INVARIANTS.filter((name) => Object.values(checks).includes(PROMISES[name].check));
    assert.notEqual(here.length, 0);
    assert.deepEqual(
      here.filter((name) => !broken.has(name)),
      [],
    );
  });
}

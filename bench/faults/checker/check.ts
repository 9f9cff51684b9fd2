/**
 * What the service promises under faults, each promise with its check. The checks are pure functions of a history and of what
 * the database holds at the end, so that a finding can be found again. They trust no constraint, no function and no word of the
 * server but the answers that clients got.
 */
import type { FinalState, History } from "../history.ts";
import { answeredInTime, answersOfTheContract, unknownIsAnswered } from "./answers.ts";
import { BOUNDS, type Bounds } from "./bounds.ts";
import { countsAgree, oneADay, withinCount } from "./counts.ts";
import { askedIsCounted, soldOutIsDated } from "./demand.ts";
import { type Facts, type Findings, gather } from "./facts.ts";
import { forgottenIsGone } from "./forgotten.ts";
import { grantIsKept, grantWasAskedFor, oneGrantARequest } from "./grants.ts";
import { correctionIsKept, idIsNew, operatorIsNotRefused, withdrawnIsGone } from "./lives.ts";
import { firstComeFirstServed, soldOutIsFinal } from "./order.ts";
import { planIsKept } from "./plans.ts";
import { holderIsNotRefused, refusalIsTrue } from "./refusals.ts";
import { restockIsKept } from "./restocks.ts";
import { retiredIsKept } from "./retired.ts";
import { liveAgain, memoryIsFlat, reconcileIsEmpty, serverSurvives } from "./service.ts";
import { notBeforeItsTime } from "./times.ts";
import { undoneStaysUndone } from "./undone.ts";
import { usedOnce, useIsKept, useWasAskedFor } from "./uses.ts";

interface Checked {
  /** A sentence that holds. */
  promise: string;
  /** One finding for each thing that the promise is held against. */
  check(facts: Facts, bounds: Bounds): Findings;
}

export const PROMISES = {
  grant_is_kept: {
    promise: "an acknowledged grant is in the database, with that position and time",
    check: grantIsKept,
  },
  use_is_kept: {
    promise:
      "an acknowledged use is in the database, with that reference and time, unless a till took it back; then it is not",
    check: useIsKept,
  },
  restock_is_kept: {
    promise: "an acknowledged restock is in the database, and no count that nobody asked for",
    check: restockIsKept,
  },
  grant_was_asked_for: { promise: "a grant in the database was asked for", check: grantWasAskedFor },
  use_was_asked_for: {
    promise: "a use in the database was asked for, under that reference, and so was one that was taken back",
    check: useWasAskedFor,
  },
  undone_stays_undone: {
    promise: "a request whose every attempt was told that nothing was done left nothing in the database",
    check: undoneStaysUndone,
  },
  one_grant_a_request: {
    promise: "a user is told `issued` once for a coupon, and has one row of it",
    check: oneGrantARequest,
  },
  counts_agree: {
    promise: "issued = rows = highest position, and no position is given twice",
    check: countsAgree,
  },
  within_count: { promise: "never more than count was issued", check: withinCount },
  not_before_its_time: {
    promise:
      "nobody has a coupon before it starts, but members of its group, and they not before it starts for them",
    check: notBeforeItsTime,
  },
  one_a_day: { promise: "a user has at most one coupon a day, by the day of its time", check: oneADay },
  used_once: {
    promise:
      "a coupon is used at most once at a time, by one till under one reference, and so the audit tells it, use and undo by turns",
    check: usedOnce,
  },
  holder_is_not_refused: {
    promise:
      "who was told to hold a coupon is never refused it later, nor its use, unless the user is forgotten",
    check: holderIsNotRefused,
  },
  refusal_is_true: {
    promise:
      "a refusal is true: all units were taken (sold_out), the day was spent, the use was another's or none, the count was below what is issued, " +
      "the start was to come (not_started), whatever it was moved to, or the coupon was withdrawn",
    check: refusalIsTrue,
  },
  sold_out_is_final: {
    promise: "after somebody was told sold_out, who asks later is not granted, unless it was restocked",
    check: soldOutIsFinal,
  },
  first_come_first_served: {
    promise: "who was granted before another one asked has the smaller position",
    check: firstComeFirstServed,
  },
  asked_is_counted: {
    promise:
      "each answered request for a coupon counts once in `asked`, and none that was told that nothing was done; a server that is killed " +
      "takes along what it had not told, but no grant",
    check: askedIsCounted,
  },
  sold_out_is_dated: {
    promise: "a coupon is sold out since its last grant, and whoever is told sold_out is told that time",
    check: soldOutIsDated,
  },
  correction_is_kept: {
    promise: "an acknowledged correction or move is in the database, and none that nobody asked for",
    check: correctionIsKept,
  },
  withdrawn_is_gone: {
    promise:
      "a coupon whose withdrawal was acknowledged is gone: nobody has it, and who asks later is told so",
    check: withdrawnIsGone,
  },
  id_is_new: { promise: "the id of a coupon is never given to another one", check: idIsNew },
  operator_is_not_refused: {
    promise: "what a withdrawn coupon had is free, and a correction is refused only for what holds",
    check: operatorIsNotRefused,
  },
  forgotten_is_gone: {
    promise:
      "the name of a user who was told forgotten is in no table, nor a reference or a reason of theirs, and no till takes their coupons",
    check: forgottenIsGone,
  },
  plan_is_kept: {
    promise:
      "a day that was filled has what the plan says, once, also after that was withdrawn and the plan has changed",
    check: planIsKept,
  },
  retired_is_kept: {
    promise: "of coupons that are being retired each grant is there, or in the sums that stay",
    check: retiredIsKept,
  },
  unknown_is_answered: {
    promise: "after an unknown answer, the same request sent again gets a definite one",
    check: unknownIsAnswered,
  },
  answered_in_time: { promise: "every answer comes within its deadline", check: answeredInTime },
  answers_of_the_contract: {
    promise: "every answer is one that the contract knows",
    check: answersOfTheContract,
  },
  live_again: {
    promise: "grants and uses are answered again within the bound after each fault",
    check: liveAgain,
  },
  memory_is_flat: {
    promise: "the server's memory does not grow from fault to fault",
    check: memoryIsFlat,
  },
  server_survives: { promise: "no server ends that was not told to", check: serverSurvives },
  reconcile_is_empty: { promise: "reconcile() finds nothing", check: reconcileIsEmpty },
} as const satisfies Record<string, Checked>;

export type Invariant = keyof typeof PROMISES;
export const INVARIANTS = Object.keys(PROMISES) as Invariant[];

export interface Violation {
  invariant: Invariant;
  detail: string;
}

export interface Verdict {
  violations: Violation[];
  /** How many things each promise was held against. */
  checked: Record<Invariant, number>;
}

export function check(history: History, state: FinalState, bounds: Bounds = BOUNDS): Verdict {
  const facts = gather(history, state);
  const violations: Violation[] = [];
  const checked = noneChecked();
  for (const invariant of INVARIANTS)
    for (const finding of PROMISES[invariant].check(facts, bounds)) {
      checked[invariant] += 1;
      if (finding !== true) violations.push({ invariant, detail: finding });
    }
  return { violations, checked };
}

export function noneChecked(): Verdict["checked"] {
  return Object.fromEntries(INVARIANTS.map((invariant) => [invariant, 0])) as Verdict["checked"];
}

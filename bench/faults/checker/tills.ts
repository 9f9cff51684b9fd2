/** What the answers prove of a use that a till may have taken back since. */
import {
  type AttemptTo,
  earliest,
  type Facts,
  firstOk,
  holding,
  mayBeDone,
  mayBeForgotten,
  type Use,
} from "./facts.ts";

/** As coupon.forgotten() has it. */
const FORGOTTEN = "(forgotten)";

const tillOf = ({ ask }: Use) => (ask.kind === "scan" ? ask.till : undefined);

/** Whether both are one use: under one reference, by one till. */
export function isSameUse(one: Use, other: Use): boolean {
  return one.ask.reference === other.ask.reference && tillOf(one) === tillOf(other);
}

/** Whether the database names the use so. */
export function isNamed(facts: Facts, { user, reference }: Use["ask"], name: string | null): boolean {
  return name === reference || (name === FORGOTTEN && mayBeForgotten(facts, user));
}

/** From when on a use that was told can have been taken back, ms; Infinity: never. */
export function undoneFrom({ undos }: Facts, use: Use): number {
  const able = (undos.get(holding(use.ask)) ?? []).filter(
    (undo) => means(undo, use) && mayBeDone(undo.answer),
  );
  return earliest(able.map(({ invokedAt }) => invokedAt));
}

/** Whether a use can have stood while something else was asked. */
export function mayStand({ undos }: Facts, use: Use, during: Use | AttemptTo<"undo">): boolean {
  const until = firstOk((undos.get(holding(use.ask)) ?? []).filter((undo) => means(undo, use)));
  return mayBeDone(use.answer) && use.invokedAt <= during.answeredAt && until >= during.invokedAt;
}

/** Whether it is this use that a till takes back. No two uses of a coupon have one time. */
function means({ ask }: AttemptTo<"undo">, { answer }: Use): boolean {
  return answer.is === "ok" && answer.at === ask.used;
}

/** Whether an undo was refused for what can have been so. */
export function isUndoTrue(facts: Facts, attempt: AttemptTo<"undo">): boolean {
  const { ask, answer, invokedAt, answeredAt } = attempt;
  const uses = (facts.uses.get(holding(ask)) ?? []).filter((use) => means(attempt, use));
  switch (answer.outcome) {
    case "not_used":
      return !uses.some((use) => use.answeredAt < invokedAt && undoneFrom(facts, use) > answeredAt);
    case "used_by_another":
      return uses.some((use) => tillOf(use) !== ask.till && mayStand(facts, use, attempt));
    default:
      return answer.outcome === "claim_not_found" && mayBeForgotten(facts, ask.user, answeredAt);
  }
}

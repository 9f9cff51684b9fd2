/** Nobody is refused what is theirs, or for a reason that does not hold. */
import { type Attempt, STRANGERS } from "../history.ts";
import {
  type AttemptTo,
  asked,
  dayOf,
  type Facts,
  type Findings,
  firstOk,
  holding,
  mayBeDone,
  mayBeForgotten,
  ms,
  said,
  type Use,
} from "./facts.ts";
import { CLOCKS_MS, mayHaveStarted, startsFor } from "./starts.ts";
import { isNamed, isSameUse, isUndoTrue, mayStand, undoneFrom } from "./tills.ts";

export function* holderIsNotRefused(facts: Facts): Findings {
  const { issues, uses } = facts;
  for (const [key, attempts] of issues) {
    const acknowledgedAt = firstOk(attempts);
    for (const { answer, invokedAt, answeredAt } of attempts)
      if (answer.is === "refused")
        yield invokedAt <= acknowledgedAt ||
          `${key} was told to hold it at ${ms(acknowledgedAt)}, and ${answer.outcome} at ${ms(answeredAt)}`;
  }
  for (const [key, attempts] of uses) {
    const holdsSince = firstOk(issues.get(key));
    for (const attempt of attempts) {
      const { ask, answer, invokedAt, answeredAt } = attempt;
      if (answer.is !== "refused") continue;
      const own = attempts.filter(
        (other) => isSameUse(other, attempt) && undoneFrom(facts, other) > answeredAt,
      );
      yield (answer.outcome === "already_used"
        ? invokedAt <= firstOk(own)
        : invokedAt <= holdsSince || mayBeForgotten(facts, ask.user, answeredAt)) ||
        `${key} was told ${answer.outcome} of ${ask.reference} at ${ms(answeredAt)}`;
    }
  }
}

export function* refusalIsTrue(facts: Facts): Findings {
  for (const coupon of facts.issuesOf.keys()) yield* issueRefusals(facts, coupon);
  for (const coupon of facts.coupons.keys()) yield* restockRefusals(facts, coupon);
  for (const [key, attempts] of facts.uses) yield* useRefusals(facts, key, attempts);
  for (const attempts of facts.undos.values())
    for (const attempt of attempts)
      if (attempt.answer.is === "refused")
        yield isUndoTrue(facts, attempt) ||
          `${asked(attempt)}: ${said(attempt.answer)} at ${ms(attempt.answeredAt)}`;
}

function* issueRefusals(facts: Facts, coupon: number): Findings {
  const grantedBy = grantsBy(facts, coupon);
  for (const attempt of facts.issuesOf.get(coupon) ?? []) {
    const { ask, answer, invokedAt, answeredAt } = attempt;
    if (answer.is !== "refused") continue;
    const told = `user ${ask.user} was told ${answer.outcome} of coupon ${coupon} at ${ms(answeredAt)}`;
    switch (answer.outcome) {
      case "sold_out": {
        const [granted, count] = [grantedBy(answeredAt), countAt(facts, coupon, invokedAt)];
        yield granted >= count || `${told}: at most ${granted} of ${count} could have been granted by then`;
        break;
      }
      case "daily_limit_reached":
        yield isDaySpent(facts, attempt) || `${told}: the user held no other of that day`;
        break;
      case "not_started":
        yield startsFor(facts, attempt).some(
          (start) => start > facts.history.epoch + invokedAt - CLOCKS_MS,
        ) || `${told}: it had started before that was asked, at ${ms(invokedAt)}`;
        break;
      case "user_not_found":
        yield (ask.user >= STRANGERS && mayHaveStarted(facts, attempt)) ||
          `${told}: the user exists, or it had not started`;
        break;
      case "coupon_not_found":
        yield (facts.lives.get(coupon)?.withdrawals ?? []).some(
          (withdrawal) => mayBeDone(withdrawal.answer) && withdrawal.invokedAt <= answeredAt,
        ) || `${told}: nobody had withdrawn it`;
        break;
      default:
        yield `${told}: nothing of the kind was done`;
    }
  }
}

/** No other coupon is of its day, so that its count is never taken: it can only be below what is issued. */
function* restockRefusals(facts: Facts, coupon: number): Findings {
  const grantedBy = grantsBy(facts, coupon);
  for (const { ask, answer, answeredAt } of facts.restocksOf.get(coupon) ?? []) {
    if (answer.is !== "refused") continue;
    const granted = grantedBy(answeredAt);
    yield (answer.outcome === "below_issued" && ask.count < granted) ||
      `coupon ${coupon}: count ${ask.count} was told ${answer.outcome} at ${ms(answeredAt)}, ` +
        `at most ${granted} could have been granted by then`;
  }
}

function* useRefusals(facts: Facts, key: string, attempts: Use[]): Findings {
  const reference = facts.grants.get(key)?.use_reference ?? null;
  for (const attempt of attempts) {
    const { ask, answer, answeredAt } = attempt;
    if (answer.is !== "refused") continue;
    const isUsedByAnother = attempts.some(
      (other) =>
        !isSameUse(other, attempt) &&
        (facts.undos.has(key) || isNamed(facts, other.ask, reference)) &&
        mayStand(facts, other, attempt),
    );
    const isGone = answer.outcome === "claim_not_found" && mayBeForgotten(facts, ask.user, answeredAt);
    yield (answer.outcome === "already_used" ? isUsedByAnother : isGone || answer.outcome === "not_issued") ||
      `${asked(attempt)}: ${said(answer)}, the database has ${reference}`;
  }
}

/** How many of its grants can have been made by an instant: those that had been asked for. */
function grantsBy({ madeOf }: Facts, coupon: number): (instant: number) => number {
  const instants = (madeOf.get(coupon) ?? []).map(({ cause }) => cause.invokedAt).toSorted((a, b) => a - b);
  return (instant) => instants.findLastIndex((at) => at <= instant) + 1;
}

/** Its count at an instant, at least: restocks that may not have been done by then do not count. */
function countAt({ history, refillsOf }: Facts, coupon: number, instant: number): number {
  const refills = (refillsOf.get(coupon) ?? []).filter(({ until }) => until < instant);
  return Math.max(history.counts.get(coupon) ?? 0, ...refills.map(({ count }) => count));
}

/** Whether the user can have held another coupon of a day that was not known to be over. */
function isDaySpent(
  { grantsOfUser, causes, dayKnownSince }: Facts,
  { ask, invokedAt, answeredAt }: AttemptTo<"issue">,
): boolean {
  return (grantsOfUser.get(ask.user) ?? []).some((grant) => {
    const cause: Attempt | undefined = causes.get(holding(grant));
    const isOver = [...dayKnownSince].some(
      ([day, since]) => since < invokedAt && day > dayOf(grant.issued_at),
    );
    return grant.coupon !== ask.coupon && cause !== undefined && cause.invokedAt <= answeredAt && !isOver;
  });
}

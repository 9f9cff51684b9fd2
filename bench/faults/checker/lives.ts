/** A coupon is corrected, moved and withdrawn as operators are told, and what it took is free when it is gone. */
import type { Ask, Attempt } from "../history.ts";
import {
  type AttemptTo,
  asked,
  attemptsTo,
  earliest,
  type Facts,
  type Findings,
  firstOk,
  isOpen,
  mayBeDone,
  ms,
  said,
} from "./facts.ts";
import { CLOCKS_MS, mayHaveStarted } from "./starts.ts";

/** What a coupon says, when it starts and from when it is its group's is what was asked for last, as far as the answers prove which that was. */
export function* correctionIsKept({ coupons, lives }: Facts): Findings {
  for (const [coupon, { created, edits, moves, early }] of lives) {
    const row = coupons.get(coupon);
    if (row === undefined) continue;
    yield isLast([...created, ...edits], ({ ask }) => ask.message === row.message) ||
      `coupon ${coupon} says ${row.message}; told ${[...created, ...edits].map(asked).join(", ")}`;
    yield isLast([...created, ...moves], ({ ask }) => ask.start === row.start) ||
      `coupon ${coupon} starts at ${row.start}; told ${[...created, ...moves].map(asked).join(", ")}`;
    const isSo = ({ ask }: (typeof created | typeof early)[number]) =>
      (ask.kind === "early" ? ask.from : null) === row.from;
    yield isLast([...created, ...early], isSo) ||
      `coupon ${coupon} is its group's from ${row.from}; told ${[...created, ...early].map(asked).join(", ")}`;
  }
}

/** Whether one of these attempts to what is there can have been done after all others. */
function isLast<T extends Attempt>(attempts: readonly T[], isThere: (attempt: T) => boolean): boolean {
  const told = attempts.filter(({ answer }) => answer.is === "ok");
  return attempts
    .filter(isThere)
    .some(
      ({ answer, answeredAt }) =>
        isOpen(answer) ||
        (answer.is === "ok" && !told.some((other) => !isThere(other) && other.invokedAt > answeredAt)),
    );
}

export function* withdrawnIsGone({ coupons, lives, issuesOf, grantsOf }: Facts): Findings {
  for (const [coupon, { withdrawals }] of lives) {
    const goneAt = firstOk(withdrawals);
    if (goneAt === Number.POSITIVE_INFINITY) continue;
    yield !coupons.has(coupon) || `coupon ${coupon} was withdrawn at ${ms(goneAt)}, and is there`;
    yield !grantsOf.has(coupon) || `coupon ${coupon} was withdrawn at ${ms(goneAt)}, and somebody has it`;
    for (const { ask, answer, invokedAt } of issuesOf.get(coupon) ?? [])
      if ((answer.is === "ok" || answer.is === "refused") && invokedAt > goneAt)
        yield answer.outcome === "coupon_not_found" ||
          `user ${ask.user} was told ${said(answer)} of coupon ${coupon}, which was withdrawn at ${ms(goneAt)}`;
  }
}

/** Each create has a message of its own, so that two with one id are two coupons. */
export function* idIsNew({ lives }: Facts): Findings {
  for (const [coupon, { created }] of lives) {
    const messages = new Set(created.map(({ ask }) => ask.message));
    yield messages.size === 1 ||
      `coupon ${coupon} was made ${messages.size} times: ${[...messages].join(", ")}`;
  }
}

/**
 * What operators ask for can be done: each has codes and places of its own, which are free again when its coupon is gone. In
 * the way can only be what a call made of which nobody was told, a start that came first, or another one who retires.
 */
export function* operatorIsNotRefused(facts: Facts): Findings {
  yield* refusals(facts, "create", isInTheWay);
  yield* refusals(facts, "move", isTrue);
  yield* refusals(facts, "early", isEarlyTrue);
  yield* refusals(facts, "withdraw", hasGrants);
  for (const kind of ["edit", "forget", "plan"] as const) yield* refusals(facts, kind, () => false);
  yield* refusals(facts, "retire", (_, { answer }) => answer.outcome === "busy");
}

/** Of each refusal of this kind, whether it holds. */
function* refusals<Kind extends Ask["kind"]>(
  facts: Facts,
  kind: Kind,
  holds: (facts: Facts, attempt: AttemptTo<Kind>) => boolean,
): Findings {
  for (const attempt of attemptsTo(facts.history, kind))
    if (attempt.answer.is === "refused")
      yield holds(facts, attempt) ||
        `${asked(attempt)}: ${said(attempt.answer)} at ${ms(attempt.answeredAt)}`;
}

function isInTheWay({ history }: Facts, attempt: AttemptTo<"create">): boolean {
  return attemptsTo(history, "create").some(
    ({ ask, answer, invokedAt }) =>
      ask.code === attempt.ask.code && isOpen(answer) && invokedAt < attempt.answeredAt,
  );
}

function isTrue(facts: Facts, attempt: AttemptTo<"move">): boolean {
  const { ask, answer, answeredAt } = attempt;
  if (answer.outcome === "in_the_past") return ask.start <= facts.history.epoch + answeredAt + CLOCKS_MS;
  return answer.outcome === "already_started" && mayHaveStarted(facts, attempt);
}

function isEarlyTrue(
  { history: { epoch }, lives }: Facts,
  { ask, answer, answeredAt }: AttemptTo<"early">,
): boolean {
  const isOver = (from: number) => from <= epoch + answeredAt + CLOCKS_MS;
  if (answer.outcome === "in_the_past") return isOver(ask.from);
  const before = (lives.get(ask.coupon)?.early ?? []).filter((other) => mayBeDone(other.answer));
  return answer.outcome === "already_started" && before.some((other) => isOver(other.ask.from));
}

function hasGrants({ madeOf }: Facts, { ask, answer, answeredAt }: AttemptTo<"withdraw">): boolean {
  const first = earliest((madeOf.get(ask.coupon) ?? []).map(({ cause }) => cause.invokedAt));
  return answer.outcome === "has_grants" && first <= answeredAt;
}

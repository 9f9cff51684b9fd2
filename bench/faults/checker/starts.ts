/** When a coupon can have started, as far as the answers about its moves prove it. */
import type { Attempt } from "../history.ts";
import { type AttemptTo, type Facts, mayBeDone } from "./facts.ts";

/** The clock of the database and that of the clients are one machine's, read in different ways. */
export const CLOCKS_MS = 50;

/** Whether its start can have been over when it was answered. */
export function mayHaveStarted(facts: Facts, attempt: Attempt & { ask: { coupon: number } }): boolean {
  const at = facts.history.epoch + attempt.answeredAt + CLOCKS_MS;
  return startsDuring(facts, attempt).some((start) => start <= at);
}

/** The starts that a coupon can have had while this was asked, ms since 1970: those that were not replaced for certain before. */
function startsDuring({ lives }: Facts, attempt: Attempt & { ask: { coupon: number } }): number[] {
  const life = lives.get(attempt.ask.coupon);
  return standing([...(life?.created ?? []), ...(life?.moves ?? [])], attempt).map(({ ask }) => ask.start);
}

/** The same for whoever asks: of a member of its group, from when that may have had it. */
export function startsFor(facts: Facts, attempt: AttemptTo<"issue">): number[] {
  const life = facts.lives.get(attempt.ask.coupon);
  const starts = startsDuring(facts, attempt);
  if (!isMember(facts, attempt.ask.user) || life === undefined) return starts;
  return standing<AttemptTo<"create"> | AttemptTo<"early">>(
    [...life.created, ...life.early],
    attempt,
  ).flatMap(({ ask }) => (ask.kind === "early" ? [ask.from] : starts));
}

export function isMember({ history: { members } }: Facts, user: number): boolean {
  return members !== undefined && user >= members.first && user <= members.last;
}

/** Those of these attempts whose effect can have stood while another one was asked. */
function standing<T extends Attempt>(given: readonly T[], { invokedAt, answeredAt }: Attempt): T[] {
  const done = given
    .filter(({ answer }) => mayBeDone(answer))
    .map((one) => ({ one, until: one.answer.is === "ok" ? one.answeredAt : Number.POSITIVE_INFINITY }));
  return done
    .filter(
      ({ one, until }) =>
        one.invokedAt <= answeredAt &&
        !done.some((other) => other.one.invokedAt > until && other.until < invokedAt),
    )
    .map(({ one }) => one);
}

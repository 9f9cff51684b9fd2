/** When a coupon can have started, as far as the answers about its moves prove it. */
import type { Attempt } from "../history.ts";
import { type Facts, mayBeDone } from "./facts.ts";

/** The clock of the database and that of the clients are one machine's, read in different ways. */
export const CLOCKS_MS = 50;

/** Whether its start can have been over when it was answered. */
export function mayHaveStarted(facts: Facts, attempt: Attempt & { ask: { coupon: number } }): boolean {
  const at = facts.history.epoch + attempt.answeredAt + CLOCKS_MS;
  return startsDuring(facts, attempt).some((start) => start <= at);
}

/** The starts that a coupon can have had while this was asked, ms since 1970: those that were not replaced for certain before. */
export function startsDuring(
  { lives }: Facts,
  { ask: { coupon }, invokedAt, answeredAt }: Attempt & { ask: { coupon: number } },
): number[] {
  const life = lives.get(coupon);
  const given = [...(life?.created ?? []), ...(life?.moves ?? [])]
    .filter(({ answer }) => mayBeDone(answer))
    .map((given) => ({
      ...given,
      until: given.answer.is === "ok" ? given.answeredAt : Number.POSITIVE_INFINITY,
    }));
  return given
    .filter(
      (one) =>
        one.invokedAt <= answeredAt &&
        !given.some((other) => other.invokedAt > one.until && other.until < invokedAt),
    )
    .map(({ ask }) => ask.start);
}

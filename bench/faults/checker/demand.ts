/** What is said of a drop: how many asked, and since when nothing is left. */
import { type Facts, type Findings, isOpen, ms } from "./facts.ts";

/**
 * A grant counts by its row, everything else by its answer. Of an attempt without an answer nobody knows. A grant that nobody asked for
 * breaks another promise.
 */
export function* askedIsCounted({ history, state, grantsOf, issuesOf }: Facts): Findings {
  for (const { coupon, asked } of state.coupons) {
    const granted = grantsOf.get(coupon)?.length ?? 0;
    const attempts = issuesOf.get(coupon) ?? [];
    const answered = attempts.filter(
      ({ answer }) =>
        answer.is === "ok" || (answer.is === "refused" && answer.outcome !== "coupon_not_found"),
    ).length;
    const most = answered + attempts.filter(({ answer }) => isOpen(answer)).length;
    const least = history.isCounted ? answered : granted;
    yield (asked >= least && asked <= Math.max(most, granted)) ||
      `coupon ${coupon}: ${asked} asked, of ${answered} attempts that were answered and at most ${most} that can have been`;
  }
}

/** A restock takes nothing away here, so that the last unit is always a grant. */
export function* soldOutIsDated({ history, state, grantsOf, refillsOf, issuesOf }: Facts): Findings {
  for (const { coupon, count, issued, sold_out_at } of state.coupons) {
    const last = (grantsOf.get(coupon) ?? []).toSorted((a, b) => a.position - b.position).at(-1);
    const since = issued < count ? null : last?.issued_at;
    yield sold_out_at === since ||
      `coupon ${coupon}: ${issued} of ${count} issued, sold out at ${sold_out_at}, the last unit is of ${since}`;
  }
  for (const [coupon, attempts] of issuesOf) {
    const counts = [history.counts.get(coupon), ...(refillsOf.get(coupon) ?? []).map(({ count }) => count)];
    const lasts = (grantsOf.get(coupon) ?? []).filter(({ position }) => counts.includes(position));
    for (const { ask, answer, answeredAt } of attempts)
      if (answer.is === "refused" && answer.outcome === "sold_out" && lasts.length > 0)
        yield lasts.some(({ issued_at }) => issued_at === answer.at) ||
          `user ${ask.user} was told at ${ms(answeredAt)} that coupon ${coupon} is sold out since ${answer.at}, ` +
            `its last units are of ${lasts.map(({ issued_at }) => issued_at).join(", ")}`;
  }
}

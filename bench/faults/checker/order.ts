/** First come, first served, as far as the clients' clock proves who came first. */
import { earliest, type Facts, type Findings, type Made, ms } from "./facts.ts";

/** Each position against those of all grants that were acknowledged before this one was asked for. */
export function* firstComeFirstServed({ coupons, madeOf }: Facts): Findings {
  for (const coupon of coupons.keys()) {
    const made = madeOf.get(coupon) ?? [];
    const byAcknowledgement = made.toSorted((a, b) => a.acknowledgedAt - b.acknowledgedAt);
    let next = 0;
    let last: Made | undefined;
    for (const grant of made.toSorted((a, b) => a.cause.invokedAt - b.cause.invokedAt)) {
      for (; ; next++) {
        const earlier = byAcknowledgement[next];
        if (!earlier || earlier.acknowledgedAt >= grant.cause.invokedAt) break;
        if (last === undefined || earlier.position > last.position) last = earlier;
      }
      yield last === undefined ||
        last.position < grant.position ||
        `coupon ${coupon}: user ${last.user} had position ${last.position} at ${ms(last.acknowledgedAt)}, ` +
          `user ${grant.user} asked at ${ms(grant.cause.invokedAt)} and got ${grant.position}`;
    }
  }
}

/** A restock allows a grant after sold_out when it may have been done after the refusal and before the grant. */
export function* soldOutIsFinal({ coupons, madeOf, issuesOf, refillsOf }: Facts): Findings {
  for (const coupon of coupons.keys()) {
    const soldOut = (issuesOf.get(coupon) ?? []).filter(
      ({ answer }) => answer.is === "refused" && answer.outcome === "sold_out",
    );
    const refills = refillsOf.get(coupon) ?? [];
    const refusedSince = new Map<number, number>();
    for (const { user, cause, acknowledgedAt } of madeOf.get(coupon) ?? []) {
      const before = refills.filter(({ from }) => from <= acknowledgedAt);
      const restockedAt = Math.max(Number.NEGATIVE_INFINITY, ...before.map(({ until }) => until));
      const refusedAt =
        refusedSince.get(restockedAt) ??
        earliest(
          soldOut.filter(({ invokedAt }) => invokedAt > restockedAt).map(({ answeredAt }) => answeredAt),
        );
      refusedSince.set(restockedAt, refusedAt);
      yield cause.invokedAt <= refusedAt ||
        `coupon ${coupon}: sold_out was told at ${ms(refusedAt)}, user ${user} asked at ${ms(cause.invokedAt)} and was granted`;
    }
  }
}

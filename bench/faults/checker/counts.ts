/** The numbers: of a coupon, of its positions, and of a user's day. */
import { dayOf, type Facts, type Findings, grouped, holding, mayBeDone, ms } from "./facts.ts";

export function* countsAgree({ history, state, coupons, grantsOf, lives }: Facts): Findings {
  const mayBeGone = (coupon: number) =>
    !grantsOf.has(coupon) && lives.get(coupon)?.withdrawals.some(({ answer }) => mayBeDone(answer));
  for (const coupon of [...history.counts.keys(), ...grantsOf.keys()])
    yield coupons.has(coupon) || mayBeGone(coupon) || `there is no coupon ${coupon}`;
  for (const { coupon, issued } of state.coupons) {
    const rows = grantsOf.get(coupon) ?? [];
    const positions = new Set(rows.map(({ position }) => position));
    const last = Math.max(0, ...positions);
    yield (issued === rows.length && issued === last && issued === positions.size) ||
      `coupon ${coupon}: issued ${issued}, ${rows.length} rows, ${positions.size} positions up to ${last}`;
  }
}

export function* withinCount({ history, state, grantsOf, coupons, madeOf, refillsOf }: Facts): Findings {
  for (const { coupon, count, issued } of state.coupons) {
    const rows = grantsOf.get(coupon) ?? [];
    const last = Math.max(0, ...rows.map(({ position }) => position));
    yield (issued <= count && rows.length <= count && last <= count) ||
      `coupon ${coupon}: issued ${issued}, ${rows.length} rows up to ${last}, count ${count}`;
  }
  // Of the count as it was then, not only as it is in the end.
  for (const coupon of coupons.keys())
    for (const { user, position, acknowledgedAt } of madeOf.get(coupon) ?? []) {
      const refills = (refillsOf.get(coupon) ?? []).filter(({ from }) => from <= acknowledgedAt);
      const most = Math.max(history.counts.get(coupon) ?? 0, ...refills.map(({ count }) => count));
      yield position <= most ||
        `coupon ${coupon}: user ${user} was told position ${position} at ${ms(acknowledgedAt)}, of ${most} then`;
    }
}

export function* oneADay({ state }: Facts): Findings {
  for (const grant of state.grants)
    yield grant.issued_on === dayOf(grant.issued_at) ||
      `${holding(grant)} was issued at ${grant.issued_at} for ${grant.issued_on}`;
  const days = grouped(state.grants, ({ user, issued_at }) => `user ${user} on ${dayOf(issued_at)}`);
  for (const [day, grants] of days)
    yield grants.length === 1 || `${day}: coupons ${grants.map(({ coupon }) => coupon).join(", ")}`;
}

/** The count in the database is one that was asked for, and no later one was acknowledged. */
import type { Attempt } from "../history.ts";
import { asked, type Facts, type Findings, isOpen } from "./facts.ts";

export function* restockIsKept({ history, state, restocksOf }: Facts): Findings {
  for (const { coupon, count } of state.coupons) {
    const attempts = restocksOf.get(coupon) ?? [];
    const told = attempts.filter(({ answer }) => answer.is === "ok");
    const toThisCount = attempts.filter(({ ask }) => ask.count === count);
    const mayBeLast = ({ answer, answeredAt }: Attempt) =>
      isOpen(answer) ||
      (answer.is === "ok" &&
        !told.some(({ ask, invokedAt }) => ask.count !== count && invokedAt > answeredAt));
    const first = history.counts.get(coupon) ?? lateCount(history, count);
    yield (told.length > 0 ? toThisCount.some(mayBeLast) : count === first || toThisCount.length > 0) ||
      `coupon ${coupon}: count ${count}, told ${told.map(asked).join(", ") || first}`;
  }
}

/** Of a coupon that nobody was told of: made by a create whose answer was lost for good, or by the plan. */
function lateCount({ attempts }: Facts["history"], count: number): number | undefined {
  const isAsked = attempts.some(
    ({ ask, answer }) =>
      (ask.kind === "plan" || (ask.kind === "create" && isOpen(answer))) && ask.count === count,
  );
  return isAsked ? count : undefined;
}

/** Days that are filled by a plan. */
import { DAY_MS, dayAt, weekdayOf } from "../days.ts";
import { attemptsTo, type Facts, type Findings, grouped, mayBeDone } from "./facts.ts";
import { CLOCKS_MS } from "./starts.ts";

/** Whoever filled days is told a coupon of each that had a plan by then, always the same one. It is there, or was withdrawn. */
export function* planIsKept({ history, state }: Facts): Findings {
  const [plans, withdrawals] = [attemptsTo(history, "plan"), attemptsTo(history, "withdraw")];
  const told = new Map<string, Set<number>>();
  for (const { ask, answer, invokedAt, answeredAt } of attemptsTo(history, "fill")) {
    if (answer.is !== "ok") continue;
    const days = answer.days ?? {};
    for (const [day, coupon] of Object.entries(days)) told.set(day, (told.get(day) ?? new Set()).add(coupon));
    // What starts today may have started.
    const first = history.epoch + answeredAt + CLOCKS_MS + DAY_MS;
    const planned = plans.filter((plan) => plan.answer.is === "ok" && plan.answeredAt < invokedAt);
    for (let time = first; dayAt(time) <= ask.last; time += DAY_MS) {
      const day = dayAt(time);
      if (planned.some((plan) => isOf(plan.ask, day)))
        yield day in days || `${day} was planned and filled, and has no coupon`;
    }
  }
  const ofPlans = state.coupons.filter(({ message }) => plans.some(({ ask }) => ask.message === message));
  const made = grouped(ofPlans, ({ start }) => dayAt(start));
  for (const [day, coupons] of told) {
    const [rows, gone] = [made.get(day) ?? [], withdrawals.filter(({ ask }) => coupons.has(ask.coupon))];
    const isGone = rows.length === 0 && gone.some(({ answer }) => mayBeDone(answer));
    const isThere =
      rows.some(({ coupon }) => coupons.has(coupon)) && !gone.some(({ answer }) => answer.is === "ok");
    yield (coupons.size === 1 && (isGone || isThere)) ||
      `${day} was told to have ${[...coupons].join(", ")}, and has ${rows.map(({ coupon }) => coupon).join(", ") || "nothing"}`;
  }
  for (const [day, rows] of made)
    for (const { coupon, message, count } of rows)
      yield (rows.length === 1 &&
        plans.some(({ ask }) => isOf(ask, day) && ask.message === message && ask.count === count)) ||
        `coupon ${coupon} of ${day}, one of ${rows.length}, says ${message} and has ${count}, which nobody planned`;
}

function isOf({ weekday }: { weekday: number }, day: string): boolean {
  return weekday === weekdayOf(day);
}

/** Coupons of long ago that are taken out of the tables: sums of their grants stay. */
import { attemptsTo, type Facts, type Findings } from "./facts.ts";

export function* retiredIsKept({ history, state }: Facts): Findings {
  const isDone = attemptsTo(history, "retire").some(({ answer }) => answer.outcome === "done");
  for (const [coupon, count] of history.old) {
    const rows = state.old.filter((row) => row.coupon === coupon);
    const [{ isRetired, grants, moved } = { isRetired: false, grants: 0, moved: 0 }] = rows;
    yield (rows.length === 1 &&
      grants + moved === count &&
      (isRetired || moved === 0) &&
      (!isDone || grants === 0)) ||
      `coupon ${coupon} had ${count} grants: ${grants} are there, ${moved} were moved out`;
  }
}

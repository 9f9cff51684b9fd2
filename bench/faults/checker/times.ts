/** Nobody has a coupon before its time. */
import { type Facts, type Findings, firstOk, holding, ms } from "./facts.ts";
import { CLOCKS_MS, isMember } from "./starts.ts";

/** By the time that a grant has, and by the clock of the clients, which were told of it. */
export function* notBeforeItsTime(facts: Facts): Findings {
  const { history, state, coupons, issues } = facts;
  for (const grant of state.grants) {
    const row = coupons.get(grant.coupon);
    if (row === undefined) continue;
    const [key, isEarly] = [holding(grant), isMember(facts, grant.user) && row.from !== null];
    const time = isEarly ? (row.from ?? 0) : row.start;
    const until = `${new Date(time).toISOString()}, ${isEarly ? "from when members may have it" : "when it starts"}`;
    yield Date.parse(grant.issued_at) >= Math.floor(time) ||
      `${key} was granted at ${grant.issued_at}, before ${until}`;
    const told = firstOk(issues.get(key));
    yield history.epoch + told + CLOCKS_MS >= time ||
      `${key} was told to hold it at ${ms(told)}, before ${until}`;
  }
}

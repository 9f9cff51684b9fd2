/** Who is told that nothing was done can rely on it: what is in the database has an attempt that was not told so. */
import { allSaid, type Facts, type Findings, mayBeDone } from "./facts.ts";
import { isNamed } from "./tills.ts";

export function* undoneStaysUndone(facts: Facts): Findings {
  yield* grants(facts);
  yield* uses(facts);
  yield* restocks(facts);
}

function* grants({ grants, issues, causes }: Facts): Findings {
  for (const key of grants.keys()) {
    const attempts = issues.get(key);
    if (attempts) yield causes.has(key) || `${key} was granted, and told ${allSaid(attempts)}`;
  }
}

function* uses(facts: Facts): Findings {
  for (const [key, { use_reference, used_date }] of facts.grants) {
    if (use_reference === null && used_date === null) continue;
    const attempts = (facts.uses.get(key) ?? []).filter(({ ask }) => isNamed(facts, ask, use_reference));
    if (attempts.length > 0)
      yield attempts.some(({ answer }) => mayBeDone(answer)) ||
        `${key} was used, and told ${allSaid(attempts)}`;
  }
}

function* restocks({ history, state, restocksOf }: Facts): Findings {
  for (const { coupon, count } of state.coupons) {
    if (count === history.counts.get(coupon)) continue;
    const attempts = (restocksOf.get(coupon) ?? []).filter(({ ask }) => ask.count === count);
    if (attempts.length > 0)
      yield attempts.some(({ answer }) => mayBeDone(answer)) ||
        `coupon ${coupon}: count ${count}, and told ${allSaid(attempts)}`;
  }
}

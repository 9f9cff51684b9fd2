/** A person who was forgotten is named nowhere, and no till takes a coupon of theirs. Their grants stay: grants.ts. */
import { type Facts, type Findings, firstOk, holding, ms, said } from "./facts.ts";

export function* forgottenIsGone({ forgets, uses, state }: Facts): Findings {
  for (const [user, attempts] of forgets) {
    const goneAt = firstOk(attempts);
    if (goneAt === Number.POSITIVE_INFINITY) continue;
    const places = state.traces.filter((trace) => trace.user === user).map(({ place }) => place);
    yield places.length === 0 ||
      `user ${user} was forgotten at ${ms(goneAt)}, and is named in ${places.join(", ")}`;
  }
  for (const { ask, answer, invokedAt } of [...uses.values()].flat())
    if (answer.is === "ok")
      yield invokedAt <= firstOk(forgets.get(ask.user)) ||
        `${holding(ask)} was told ${said(answer)}, after the user was forgotten`;
}

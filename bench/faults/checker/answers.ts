/** Every request is answered: in words of the contract, in time, and for good when it is sent again. */
import type { Stall } from "../../harness/stalls.ts";
import type { Attempt, History } from "../history.ts";
import type { Bounds } from "./bounds.ts";
import { allSaid, asked, type Facts, type Findings, grouped, isOpen, ms, said } from "./facts.ts";

export function* unknownIsAnswered({ history }: Facts): Findings {
  for (const [request, attempts] of grouped(history.attempts, (attempt) => attempt.request)) {
    const [first, last] = [attempts[0], attempts.at(-1)?.answer.is];
    if (first && attempts.some(({ answer }) => isOpen(answer)))
      yield last === "ok" ||
        last === "refused" ||
        `request ${request}, ${asked(first)}: ${allSaid(attempts)}`;
  }
}

export function* answeredInTime({ history }: Facts, { answerMs }: Bounds): Findings {
  const tookOf = timesOf(history);
  for (const attempt of history.attempts) {
    const took = tookOf(attempt);
    yield took <= answerMs ||
      `${asked(attempt)}: ${said(attempt.answer)} after ${took.toFixed(0)} ms, asked at ${ms(attempt.invokedAt)}`;
  }
}

/**
 * How long the server took for an attempt, ms. It is not to blame for the time in which it stood still or was gone, nor for that in which its
 * clients did not run.
 */
export function timesOf({
  strokes,
  stalls,
}: Pick<History, "strokes" | "stalls">): (attempt: Pick<Attempt, "invokedAt" | "answeredAt">) => number {
  const standstills = joined([...strokes.filter(({ isServers }) => isServers), ...stalls]);
  return ({ invokedAt, answeredAt }) =>
    standstills.reduce(
      (took, { from, until }) => took - Math.max(0, Math.min(until, answeredAt) - Math.max(from, invokedAt)),
      answeredAt - invokedAt,
    );
}

export function* answersOfTheContract({ history }: Facts): Findings {
  for (const attempt of history.attempts)
    yield attempt.answer.is !== "wrong" || `${asked(attempt)}: ${said(attempt.answer)}`;
}

/** The same times, each once. */
function joined(times: readonly Stall[]): Stall[] {
  const all: Stall[] = [];
  for (const { from, until } of times.toSorted((a, b) => a.from - b.from)) {
    const last = all.at(-1);
    if (last && from <= last.until) last.until = Math.max(last.until, until);
    else all.push({ from, until });
  }
  return all;
}

/** Every request is answered: in words of the contract, in time, and for good when it is sent again. */
import type { Bounds } from "./bounds.ts";
import { allSaid, asked, type Facts, type Findings, grouped, isOpen, ms, said } from "./facts.ts";
import { timesOf } from "./took.ts";

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

export function* answersOfTheContract({ history }: Facts): Findings {
  for (const attempt of history.attempts)
    yield attempt.answer.is !== "wrong" || `${asked(attempt)}: ${said(attempt.answer)}`;
}

/** How long the server took for what was asked. */
import type { Stall } from "../../harness/stalls.ts";
import type { Attempt, History } from "../history.ts";

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

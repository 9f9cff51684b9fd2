/** What came of one fault, in figures. */
import type { Invariant, Violation } from "./checker/check.ts";
import type { Attempt, History } from "./history.ts";

export interface Row {
  fault: string;
  /** Strokes, or calls that were made to fail. */
  times: number;
  requests: number;
  /** Grants, uses and restocks that were acknowledged, each once. */
  acknowledged: number;
  /** Attempts told that nothing was done. */
  undone: number;
  /** Attempts that weren't told what became of them. */
  unknown: number;
  /** Requests with such an attempt that turned out to have been done. */
  done: number;
  lost: number;
  overIssued: number;
  /** Violations of anything else. */
  other: number;
  /** The longest time until all was well again, s; where there was a time to begin from. */
  recovery?: number;
}

const LOST: readonly Invariant[] = ["grant_is_kept", "use_is_kept", "restock_is_kept", "retired_is_kept"];
const OVER_ISSUED: readonly Invariant[] = [
  "within_count",
  "counts_agree",
  "one_a_day",
  "one_grant_a_request",
  "used_once",
];

export function rowOf(
  fault: string,
  times: number,
  violations: readonly Violation[],
  { attempts, strokes }: History,
): Row {
  const keyOf = ({ ask }: Attempt) => Object.values(ask).join(" ");
  const of = (is: Attempt["answer"]["is"]) => attempts.filter(({ answer }) => answer.is === is);
  const acknowledged = new Set(of("ok").map(keyOf));
  const open = new Set(of("unknown").map(({ request }) => request));
  const done = new Set(
    of("ok")
      .filter(({ request, answer }) => open.has(request) && /^(already|un)/.test(answer.outcome))
      .map(({ request }) => request),
  );
  const broken = (invariants: readonly Invariant[]) =>
    violations.filter(({ invariant }) => invariants.includes(invariant)).length;
  const lost = broken(LOST);
  const overIssued = broken(OVER_ISSUED);
  const longestMs = Math.max(0, ...strokes.map(({ until, wellAt }) => wellAt - until));
  return {
    fault,
    times,
    requests: new Set(attempts.map(({ request }) => request)).size,
    acknowledged: acknowledged.size,
    undone: of("undone").length,
    unknown: of("unknown").length,
    done: done.size,
    lost,
    overIssued,
    other: violations.length - lost - overIssued,
    ...(strokes.length > 0 ? { recovery: Math.round(longestMs / 10) / 100 } : {}),
  };
}

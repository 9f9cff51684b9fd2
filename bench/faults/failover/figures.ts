/** What a fault of the cluster cost, in figures: pure functions of the history and of what the watchers saw. */

import type { Violation } from "../checker/check.ts";
import { timesOf } from "../checker/took.ts";
import type { History } from "../history.ts";
import type { Commit, Look, Seen } from "./watch.ts";

export interface Figures {
  /** The longest time without a 201, from the first stroke until new users came no more, s. */
  gap: number;
  /** The longest time from where commits went through again to the first 201, s: without the times in which the clients did not run. */
  found: number;
  /** The longest time for which a server's /readyz said 200 while nothing could commit, s. */
  ready: number;
  /** The longest time for which it said 503 while commits went through, s. */
  unready: number;
  /** Refusals for a reason that did not hold. */
  wrongRefusals: number;
  /** Answers that took the server longer than LATE_MS: not those for which the clients did not run. */
  late: number;
}

/** The server's own deadlines: 2 s in a queue or before a connection, and 6 s for the database. */
const LATE_MS = 8_000;

/** Between two commits of the watcher there are 50 ms; more than this is a time in which none went through. */
const STILL_MS = 500;

/** New users came until `until`. */
export function figuresOf(
  history: History,
  seen: Seen,
  violations: readonly Violation[],
  until: number,
): Figures {
  const { attempts, strokes } = history;
  const tookOf = timesOf(history);
  const wrong = ["refusal_is_true", "holder_is_not_refused", "sold_out_is_final"];
  return {
    gap: seconds(longestGap(history, until)),
    found: seconds(longestSearch(history, seen, until)),
    ...readiness(seen, strokes[0]?.from ?? 0),
    wrongRefusals: violations.filter(({ invariant }) => wrong.includes(invariant)).length,
    late: attempts.filter((attempt) => tookOf(attempt) > LATE_MS).length,
  };
}

const seconds = (ms: number) => Math.round(ms / 10) / 100;

/**
 * The longest time between two 201 that follow one another, of which the second came after the first stroke had begun; or from the last one to
 * `until`. ms
 */
export function longestGap(history: Pick<History, "attempts" | "strokes">, until: number): number {
  const since = history.strokes[0]?.from ?? 0;
  const granted = [...grantedAt(history).filter((at) => at < until), until];
  return granted.reduce((longest, at, i) => {
    const before = granted[i - 1] ?? since;
    return at < since ? longest : Math.max(longest, at - before);
  }, 0);
}

function grantedAt({ attempts }: Pick<History, "attempts">): number[] {
  return attempts
    .filter(({ answer }) => answer.is === "ok" && answer.outcome === "issued")
    .map(({ answeredAt }) => answeredAt)
    .sort((a, b) => a - b);
}

/** The longest time from the first commit of the watcher after a standstill to the next 201, or to `until`. ms */
export function longestSearch(history: History, { commits }: Pick<Seen, "commits">, until: number): number {
  const still = standstills(inOrder(commits));
  const granted = grantedAt(history);
  const tookOf = timesOf({ strokes: [], stalls: [...history.stalls, ...still] });
  const since = history.strokes[0]?.from ?? 0;
  const searches = still
    .map(({ until: from }) => ({ invokedAt: from, answeredAt: granted.find((at) => at >= from) ?? until }))
    .filter(({ invokedAt, answeredAt }) => invokedAt >= since && invokedAt <= answeredAt);
  return Math.max(0, ...searches.map(tookOf));
}

/**
 * A time in which nothing could commit lies between the ends of two commits of the watcher that are further apart than STILL_MS. A 200
 * that was asked for and answered within one is wrong, and so is a 503 that lies wholly outside; one by a server that is being ended is
 * right, and no answer is none. A wrong time lasts from the first wrong answer to the next right one of the same server, or to where
 * writes changed.
 */
export function readiness({ commits, looks }: Seen, since: number): Pick<Figures, "ready" | "unready"> {
  const ordered = inOrder(commits);
  const still = standstills(ordered);
  const longest = (isWrong: (look: Look) => boolean): number => {
    let most = 0;
    for (const server of new Set(looks.map(({ server }) => server))) {
      let from: number | undefined;
      for (const look of looks.filter((each) => each.server === server && each.from >= since)) {
        const at = Math.min(look.until, from === undefined ? look.until : endOf(still, from));
        if (from !== undefined) most = Math.max(most, at - from);
        from = isWrong(look) ? (from ?? look.from) : undefined;
      }
    }
    return seconds(most);
  };
  const within = ({ from, until }: Look) => still.some((time) => from >= time.from && until <= time.until);
  const outside = ({ from, until }: Look) => still.every((time) => until < time.from || from > time.until);
  const first = ordered[0]?.from ?? Number.POSITIVE_INFINITY;
  const last = ordered.at(-1)?.until ?? 0;
  return {
    ready: longest((look) => look.status === 200 && within(look)),
    unready: longest(
      (look) =>
        look.status === 503 &&
        look.outcome !== "draining" &&
        look.from > first &&
        look.until < last &&
        outside(look),
    ),
  };
}

/** Where the time in which something is wrong ends at the latest: nothing that began within a standstill lasts longer than it. */
function endOf(still: readonly Commit[], from: number): number {
  return still.find((time) => from >= time.from && from <= time.until)?.until ?? Number.POSITIVE_INFINITY;
}

const inOrder = (commits: readonly Commit[]) => commits.toSorted((a, b) => a.until - b.until);

function standstills(commits: readonly Commit[]): Commit[] {
  return commits.slice(1).flatMap((commit, i) => {
    const from = (commits[i] as Commit).until;
    return commit.until - from > STILL_MS ? [{ from, until: commit.until }] : [];
  });
}

/**
 * Judges a history by what the database holds at the end: a pure function, so that what it finds can be found again. It trusts
 * no constraint, no function and no word of the server but the answers that clients got.
 */
import type { Answer, Attempt, FinalState, History } from "./history.ts";

/** The invariants, each as a sentence that holds. */
export const INVARIANTS = {
  grant_is_kept: "an acknowledged grant is in the database, with that position and time",
  use_is_kept: "an acknowledged use is in the database, with that reference and time",
  restock_is_kept: "an acknowledged restock is in the database, and no count that nobody asked for",
  grant_was_asked_for: "a grant in the database was asked for",
  use_was_asked_for: "a use in the database was asked for, under that reference",
  undone_stays_undone: "nothing was done for a request whose every attempt was told that nothing was done",
  one_grant_a_request: "a user is told issued once for a coupon, and has one row of it",
  counts_agree: "issued = rows = highest position, and no position is given twice",
  within_count: "never more than count was issued",
  one_a_day: "a user has at most one coupon a day, by the day of its time",
  used_once: "a coupon is used at most once, and the audit tells it once",
  holder_is_not_refused: "who was told to hold a coupon is never refused it later, nor its use",
  refusal_is_true:
    "a refusal holds: sold_out when all units were taken, the day spent, the use under another reference, the count below what is issued",
  sold_out_is_final: "nobody who asked after somebody was told sold_out was granted, but after a restock",
  first_come_first_served: "who was granted before another one asked has the smaller position",
  unknown_is_answered: "an unknown answer is answered when the request is sent again",
  answered_in_time: "every answer comes within its deadline",
  answers_of_the_contract: "every answer is one that the contract knows",
  live_again: "grants and uses are answered again within the bound after each fault",
  memory_is_flat: "the server's memory doesn't grow from fault to fault",
  server_survives: "no server ends that wasn't told to",
  reconcile_is_empty: "reconcile() finds nothing",
} as const;
export type Invariant = keyof typeof INVARIANTS;

export interface Violation {
  invariant: Invariant;
  detail: string;
}

export interface Bounds {
  /** From asking to the answer: the server's own deadlines, and some for the way. ms */
  answerMs: number;
  /** From the end of a fault until grants and uses are answered again. ms */
  wellMs: number;
  /** By how much the memory may grow from the first third of the strokes to the last. MB */
  memoryMb: number;
}

/** The database's clock may be set back by so much in all: its day begins a second time. ms */
const SET_BACK_MS = 60_000;

/** What the server promises: 2 s in a queue and 6 s for the database, or 2 s before a connection and 6 s; and for the way. */
export const BOUNDS: Bounds = { answerMs: 10_000, wellMs: 10_000, memoryMb: 64 };

export interface Verdict {
  violations: Violation[];
  /** How many things each invariant was held against. */
  checked: Record<Invariant, number>;
}

export function check(history: History, state: FinalState, bounds: Bounds = BOUNDS): Verdict {
  const violations: Violation[] = [];
  const checked = Object.fromEntries(Object.keys(INVARIANTS).map((name) => [name, 0])) as Verdict["checked"];
  const expect = (invariant: Invariant, holds: boolean, detail: () => string) => {
    checked[invariant] += 1;
    if (!holds) violations.push({ invariant, detail: detail() });
  };

  const coupons = new Map(state.coupons.map((row) => [row.coupon, row]));
  const issues = byHolding(history.attempts, "issue");
  const uses = byHolding(history.attempts, "use");
  const restocks = grouped(
    history.attempts.filter(({ ask }) => ask.kind === "restock"),
    ({ ask }) => ask.coupon,
  );
  const grants = new Map(state.grants.map((grant) => [holding(grant), grant]));
  const grantsOf = grouped(state.grants, ({ coupon }) => coupon);
  const walletOf = grouped(state.grants, ({ user }) => user);
  const attemptsOf = grouped(
    history.attempts.filter(({ ask }) => ask.kind === "issue"),
    ({ ask }) => ask.coupon,
  );
  /** When each day was known to have begun: a grant of it had been acknowledged. */
  const days = new Map<string, number>();
  for (const grant of state.grants) {
    const day = new Date(Date.parse(grant.issued_at) - SET_BACK_MS).toISOString().slice(0, 10);
    const began = days.get(day) ?? Number.POSITIVE_INFINITY;
    days.set(day, Math.min(began, firstOk(issues.get(holding(grant)) ?? [])));
  }
  const standstills = history.strokes.filter(({ isServers }) => isServers);

  checkCoupons();
  for (const [key, attempts] of issues) checkIssues(key, attempts);
  for (const [key, attempts] of uses) checkUses(key, attempts);
  checkGrants();
  for (const coupon of coupons.keys()) checkOrder(coupon);
  checkRequests();
  checkService();
  return { violations, checked };

  function checkCoupons(): void {
    for (const coupon of [...history.counts.keys(), ...grantsOf.keys()])
      expect("counts_agree", coupons.has(coupon), () => `there is no coupon ${coupon}`);
    for (const { coupon, count, issued } of state.coupons) {
      const rows = grantsOf.get(coupon) ?? [];
      const positions = new Set(rows.map(({ position }) => position));
      const last = rows.reduce((most, { position }) => Math.max(most, position), 0);
      expect(
        "counts_agree",
        issued === rows.length && issued === last && issued === positions.size,
        () =>
          `coupon ${coupon}: issued ${issued}, ${rows.length} rows, ${positions.size} positions up to ${last}`,
      );
      expect(
        "within_count",
        issued <= count && rows.length <= count && last <= count,
        () => `coupon ${coupon}: issued ${issued}, ${rows.length} rows up to ${last}, count ${count}`,
      );
      checkRestocks(coupon, count);
    }
    for (const { coupon, user, issued_on, issued_at } of state.grants)
      expect(
        "one_a_day",
        issued_on === dayOf(issued_at),
        () => `${holding({ coupon, user })} was issued at ${issued_at} for ${issued_on}`,
      );
    const taken = grouped(state.grants, ({ user, issued_at }) => `user ${user} on ${dayOf(issued_at)}`);
    for (const [day, of] of taken)
      expect(
        "one_a_day",
        of.length === 1,
        () => `${day}: coupons ${of.map(({ coupon }) => coupon).join(", ")}`,
      );
  }

  /** The count is that of an attempt which no acknowledged one came after, or else nobody was told of any. */
  function checkRestocks(coupon: number, count: number): void {
    const attempts = restocks.get(coupon) ?? [];
    const told = attempts.filter(({ answer }) => answer.is === "ok");
    const those = attempts.filter(({ ask }) => ask.kind === "restock" && ask.count === count);
    const mayBeLast = (attempt: Attempt) =>
      isOpen(attempt.answer) ||
      (attempt.answer.is === "ok" &&
        !told.some((later) => !those.includes(later) && later.invokedAt > attempt.answeredAt));
    const isFirst = count === history.counts.get(coupon);
    expect(
      "restock_is_kept",
      told.length > 0 ? those.some(mayBeLast) : isFirst || those.length > 0,
      () =>
        `coupon ${coupon}: count ${count}, told ${told.map(asked).join(", ") || history.counts.get(coupon)}`,
    );
    if (!isFirst && those.length > 0)
      expect(
        "undone_stays_undone",
        those.some(({ answer }) => mayBeDone(answer)),
        () =>
          `coupon ${coupon}: count ${count}, and told ${those.map(({ answer }) => said(answer)).join(", ")}`,
      );
  }

  function checkIssues(key: string, attempts: Attempt[]): void {
    const grant = grants.get(key);
    let told = 0;
    let acknowledgedAt = Number.POSITIVE_INFINITY;
    for (const { answer, answeredAt } of attempts) {
      if (answer.is !== "ok") continue;
      if (answer.outcome === "issued") told += 1;
      acknowledgedAt = Math.min(acknowledgedAt, answeredAt);
      expect(
        "grant_is_kept",
        grant !== undefined && answer.position === grant.position && answer.at === grant.issued_at,
        () =>
          `${key} was told ${said(answer)} at ${ms(answeredAt)}, the database has ${
            grant ? `position ${grant.position} of ${grant.issued_at}` : "nothing"
          }`,
      );
    }
    expect("one_grant_a_request", told <= 1, () => `${key} was told issued ${told} times`);
    for (const { answer, invokedAt, answeredAt } of attempts) {
      if (answer.is !== "refused") continue;
      expect(
        "holder_is_not_refused",
        invokedAt <= acknowledgedAt,
        () =>
          `${key} was told to hold it at ${ms(acknowledgedAt)}, and ${answer.outcome} at ${ms(answeredAt)}`,
      );
    }
  }

  function checkUses(key: string, attempts: Attempt[]): void {
    const grant = grants.get(key);
    const holds = firstOk(issues.get(key) ?? []);
    const used = attempts.filter(({ answer }) => answer.is === "ok");
    for (const { ask, answer, answeredAt } of used)
      expect(
        "use_is_kept",
        grant !== undefined &&
          ask.kind === "use" &&
          ask.reference === grant.use_reference &&
          answer.is === "ok" &&
          answer.at === grant.used_date,
        () =>
          `${key} was told ${said(answer)} at ${ms(answeredAt)}, the database has ${
            grant?.used_date ? `${grant.use_reference} of ${grant.used_date}` : "no use"
          }`,
      );
    for (const attempt of attempts) {
      const { ask, answer, invokedAt, answeredAt } = attempt;
      if (answer.is !== "refused" || ask.kind !== "use") continue;
      expect(
        "holder_is_not_refused",
        answer.outcome === "already_used"
          ? !used.some(
              (other) =>
                other.ask.kind === "use" &&
                other.ask.reference === ask.reference &&
                other.answeredAt < invokedAt,
            )
          : invokedAt <= holds,
        () => `${key} was told ${answer.outcome} of ${ask.reference} at ${ms(answeredAt)}`,
      );
    }
  }

  /** Each grant and each use in the database has an attempt that made it. */
  function checkGrants(): void {
    const rows = grouped(state.grants, holding);
    for (const [key, of] of rows)
      expect("one_grant_a_request", of.length === 1, () => `${key} has ${of.length} rows`);
    for (const [key, grant] of grants) {
      const attempts = issues.get(key) ?? [];
      expect("grant_was_asked_for", attempts.length > 0, () => `${key} was granted and never asked`);
      if (attempts.length > 0)
        expect(
          "undone_stays_undone",
          causeOf(attempts) !== undefined,
          () => `${key} was granted, and told ${attempts.map(({ answer }) => said(answer)).join(", ")}`,
        );
      if (grant.use_reference === null && grant.used_date === null) continue;
      const asked = (uses.get(key) ?? []).filter(
        ({ ask }) => ask.kind === "use" && ask.reference === grant.use_reference,
      );
      expect("use_was_asked_for", asked.length > 0, () => `${key} was used as ${grant.use_reference}`);
      if (asked.length > 0)
        expect(
          "undone_stays_undone",
          asked.some(({ answer }) => mayBeDone(answer)),
          () => `${key} was used, and told ${asked.map(({ answer }) => said(answer)).join(", ")}`,
        );
    }
    for (const [key, told] of grouped(state.uses, holding))
      expect(
        "used_once",
        told.length === 1 && told[0]?.reference === grants.get(key)?.use_reference,
        () => `${key}: the audit tells ${told.map(({ reference }) => reference).join(", ")}`,
      );
    const audited = new Set(state.uses.map(holding));
    for (const [key, { used_date }] of grants)
      if (used_date !== null)
        expect("used_once", audited.has(key), () => `${key} is used, and the audit doesn't know`);
  }

  /** What the times of one coupon's attempts prove. */
  function checkOrder(coupon: number): void {
    const made = (grantsOf.get(coupon) ?? []).flatMap((grant) => {
      const attempts = issues.get(holding(grant)) ?? [];
      const cause = causeOf(attempts);
      return cause ? [{ ...grant, cause, acknowledgedAt: firstOk(attempts) }] : [];
    });

    // Position against every grant that was acknowledged before this one was asked for.
    const byAcknowledgement = made.toSorted((a, b) => a.acknowledgedAt - b.acknowledgedAt);
    let behind = 0;
    let last: (typeof made)[number] | undefined;
    for (const grant of made.toSorted((a, b) => a.cause.invokedAt - b.cause.invokedAt)) {
      for (; ; behind++) {
        const earlier = byAcknowledgement[behind];
        if (!earlier || earlier.acknowledgedAt >= grant.cause.invokedAt) break;
        if (last === undefined || earlier.position > last.position) last = earlier;
      }
      const before = last;
      expect(
        "first_come_first_served",
        before === undefined || before.position < grant.position,
        () =>
          `coupon ${coupon}: user ${before?.user} had position ${before?.position} at ${ms(before?.acknowledgedAt ?? 0)}, ` +
          `user ${grant.user} asked at ${ms(grant.cause.invokedAt)} and got ${grant.position}`,
      );
    }

    const attempts = attemptsOf.get(coupon) ?? [];
    const soldOut = attempts.filter(({ answer }) => answer.is === "refused" && answer.outcome === "sold_out");
    const refills = (restocks.get(coupon) ?? []).flatMap(({ ask, answer, invokedAt, answeredAt }) =>
      ask.kind !== "restock" || answer.is === "undone" || answer.is === "refused"
        ? []
        : [
            {
              count: ask.count,
              from: invokedAt,
              done: answer.is === "ok" ? answeredAt : Number.POSITIVE_INFINITY,
            },
          ],
    );

    const most = (until: number) =>
      refills
        .filter(({ from }) => from <= until)
        .reduce((highest, { count }) => Math.max(highest, count), history.counts.get(coupon) ?? 0);
    for (const { user, position, acknowledgedAt } of made)
      expect(
        "within_count",
        position <= most(acknowledgedAt),
        () =>
          `coupon ${coupon}: user ${user} was told position ${position} at ${ms(acknowledgedAt)}, of ${most(acknowledgedAt)} then`,
      );

    // A restock between the two is one that may have come after the first was refused and before the second was granted.
    const refusedSince = new Map<number, number>();
    for (const { user, cause, acknowledgedAt } of made) {
      const since = refills
        .filter(({ from }) => from <= acknowledgedAt)
        .reduce((latest, { done }) => Math.max(latest, done), Number.NEGATIVE_INFINITY);
      const refusedAt =
        refusedSince.get(since) ??
        soldOut
          .filter(({ invokedAt }) => invokedAt > since)
          .reduce((earliest, { answeredAt }) => Math.min(earliest, answeredAt), Number.POSITIVE_INFINITY);
      refusedSince.set(since, refusedAt);
      expect(
        "sold_out_is_final",
        cause.invokedAt <= refusedAt,
        () =>
          `coupon ${coupon}: sold_out was told at ${ms(refusedAt)}, user ${user} asked at ${ms(cause.invokedAt)} and was granted`,
      );
    }

    const causes = made.map(({ cause }) => cause.invokedAt).toSorted((a, b) => a - b);
    for (const { ask, answer, invokedAt, answeredAt } of attempts) {
      if (answer.is !== "refused" || ask.kind !== "issue") continue;
      const { holds, why } = refusal(ask.user, answer.outcome, invokedAt, answeredAt);
      expect(
        "refusal_is_true",
        holds,
        () => `user ${ask.user} was told ${answer.outcome} of coupon ${coupon} at ${ms(answeredAt)}: ${why}`,
      );
    }
    for (const { ask, answer, answeredAt } of restocks.get(coupon) ?? [])
      if (answer.is === "refused" && ask.kind === "restock")
        expect(
          "refusal_is_true",
          // No other coupon is of its day: its count is never taken.
          answer.outcome === "below_issued" && ask.count < askedBy(answeredAt),
          () =>
            `coupon ${coupon}: count ${ask.count} was told ${answer.outcome} at ${ms(answeredAt)}, ` +
            `at most ${askedBy(answeredAt)} could have been granted by then`,
        );

    function askedBy(instant: number): number {
      return causes.findLastIndex((at) => at <= instant) + 1;
    }

    function refusal(user: number, outcome: string, invokedAt: number, answeredAt: number) {
      if (outcome === "sold_out") {
        const asked = askedBy(answeredAt);
        const count = refills
          .filter(({ done }) => done < invokedAt)
          .reduce((most, refill) => Math.max(most, refill.count), history.counts.get(coupon) ?? 0);
        return { holds: asked >= count, why: `at most ${asked} of ${count} could have been granted by then` };
      }
      if (outcome === "daily_limit_reached")
        return {
          holds: (walletOf.get(user) ?? []).some((grant) => {
            const cause = causeOf(issues.get(holding(grant)) ?? []);
            const isOver = [...days].some(
              ([day, began]) => began < invokedAt && day > dayOf(grant.issued_at),
            );
            return grant.coupon !== coupon && cause !== undefined && cause.invokedAt <= answeredAt && !isOver;
          }),
          why: "the user held no other of that day",
        };
      return { holds: false, why: "nothing of the kind was done" };
    }
  }

  function checkRequests(): void {
    for (const [request, attempts] of grouped(history.attempts, (attempt) => attempt.request)) {
      const answers = attempts.map(({ answer }) => answer);
      if (answers.some(isOpen))
        expect(
          "unknown_is_answered",
          answers.at(-1)?.is === "ok" || answers.at(-1)?.is === "refused",
          () => `request ${request}, ${asked(attempts[0])}: ${answers.map(said).join(", ")}`,
        );
    }
    for (const attempt of history.attempts) {
      const { answer, invokedAt, answeredAt } = attempt;
      expect("answers_of_the_contract", answer.is !== "wrong", () => `${asked(attempt)}: ${said(answer)}`);
      const excused = standstills.reduce(
        (sum, { from, until }) => sum + Math.max(0, Math.min(until, answeredAt) - Math.max(from, invokedAt)),
        0,
      );
      const took = answeredAt - invokedAt - excused;
      expect(
        "answered_in_time",
        took <= bounds.answerMs,
        () => `${asked(attempt)}: ${said(answer)} after ${took.toFixed(0)} ms, asked at ${ms(invokedAt)}`,
      );
      if (answer.is === "refused" && attempt.ask.kind === "use") {
        const { reference } = attempt.ask;
        const grant = grants.get(holding(attempt.ask));
        const isTaken = (uses.get(holding(attempt.ask)) ?? []).some(
          (other) =>
            other.ask.kind === "use" &&
            other.ask.reference !== reference &&
            other.ask.reference === grant?.use_reference &&
            mayBeDone(other.answer) &&
            other.invokedAt <= answeredAt,
        );
        expect(
          "refusal_is_true",
          answer.outcome === "already_used" ? isTaken : answer.outcome === "not_issued",
          () => `${asked(attempt)}: ${said(answer)}, the database has ${grant?.use_reference}`,
        );
      }
    }
  }

  function checkService(): void {
    for (const [i, { until, wellAt }] of history.strokes.entries())
      expect(
        "live_again",
        wellAt - until <= bounds.wellMs,
        () => `stroke ${i + 1}: not well ${bounds.wellMs} ms after it`,
      );
    const third = Math.floor(history.memory.length / 3);
    if (third > 0) {
      const [before, after] = [history.memory.slice(0, third), history.memory.slice(-third)].map(mean);
      expect(
        "memory_is_flat",
        (after as number) - (before as number) <= bounds.memoryMb,
        () => `${before?.toFixed(0)} MB at first, ${after?.toFixed(0)} MB at last`,
      );
    }
    expect("server_survives", history.deaths.length === 0, () => history.deaths.join("; "));
    expect("reconcile_is_empty", state.broken.length === 0, () => state.broken.slice(0, 5).join("; "));
  }
}

/** The attempt that made a grant: the one that was told issued, else the first that was not told what became of it. */
function causeOf(attempts: readonly Attempt[]): Attempt | undefined {
  return (
    attempts.find(({ answer }) => answer.is === "ok" && answer.outcome === "issued") ??
    attempts
      .filter(({ answer }) => isOpen(answer))
      .reduce<Attempt | undefined>(
        (first, attempt) => (first && first.invokedAt <= attempt.invokedAt ? first : attempt),
        undefined,
      )
  );
}

/** Whether nobody knows if it was done. */
function isOpen({ is }: Answer): boolean {
  return is === "unknown" || is === "wrong";
}

function mayBeDone(answer: Answer): boolean {
  return answer.is === "ok" || isOpen(answer);
}

/** The service's time zone is UTC in a run. */
function dayOf(instant: string): string {
  return instant.slice(0, 10);
}

function firstOk(attempts: readonly Attempt[]): number {
  return attempts
    .filter(({ answer }) => answer.is === "ok")
    .reduce((earliest, { answeredAt }) => Math.min(earliest, answeredAt), Number.POSITIVE_INFINITY);
}

function byHolding(attempts: readonly Attempt[], kind: "issue" | "use"): Map<string, Attempt[]> {
  return grouped(
    attempts.filter(({ ask }) => ask.kind === kind),
    ({ ask }) => holding(ask as { coupon: number; user: number }),
  );
}

function grouped<Key, Value>(values: readonly Value[], keyOf: (value: Value) => Key): Map<Key, Value[]> {
  const groups = new Map<Key, Value[]>();
  for (const value of values) {
    const group = groups.get(keyOf(value));
    if (group) group.push(value);
    else groups.set(keyOf(value), [value]);
  }
  return groups;
}

function holding({ coupon, user }: { coupon: number; user: number }): string {
  return `user ${user} of coupon ${coupon}`;
}

function asked(attempt: Attempt | undefined): string {
  return attempt ? Object.values(attempt.ask).join(" ") : "";
}

function said(answer: Answer): string {
  return answer.is === "ok" && answer.position !== undefined
    ? `${answer.outcome} ${answer.position}`
    : answer.outcome;
}

function ms(instant: number): string {
  return `${instant.toFixed(1)} ms`;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** What a run proves: its history and the rows of its database, arranged so that a check can look things up. */
import { dayAt } from "../days.ts";
import type { Answer, Ask, Attempt, FinalState, History } from "../history.ts";

/** What a check says of one thing that it looked at: it is right, or what is wrong with it. */
export type Finding = true | string;
export type Findings = Iterable<Finding>;

export type AttemptTo<Kind extends Ask["kind"]> = Attempt & { ask: Extract<Ask, { kind: Kind }> };
/** By its holder, or at a till. */
export type Use = AttemptTo<"use" | "scan">;
export type Grant = FinalState["grants"][number];

/** A grant in the database, and the attempt that made it. */
export interface Made extends Grant {
  cause: AttemptTo<"issue">;
  /** When a client was first told that it holds the coupon, in ms. Infinity: never. */
  acknowledgedAt: number;
}

/** A restock that was done, or may have been. */
interface Refill {
  count: number;
  /** It was done between these two; `until` is Infinity where nobody was told. ms */
  from: number;
  until: number;
}

/** What was asked about a coupon that was made in the run. */
interface Life {
  /** The attempts that were told that it is there. */
  created: AttemptTo<"create">[];
  edits: AttemptTo<"edit">[];
  moves: AttemptTo<"move">[];
  /** Those that let the group have it early. */
  early: AttemptTo<"early">[];
  withdrawals: AttemptTo<"withdraw">[];
}

/** The keys of `Map<string, …>` are holdings: a user and a coupon. */
export interface Facts {
  history: History;
  state: FinalState;
  coupons: Map<number, FinalState["coupons"][number]>;
  grants: Map<string, Grant>;
  grantsOf: Map<number, Grant[]>;
  grantsOfUser: Map<number, Grant[]>;
  issues: Map<string, AttemptTo<"issue">[]>;
  issuesOf: Map<number, AttemptTo<"issue">[]>;
  uses: Map<string, Use[]>;
  undos: Map<string, AttemptTo<"undo">[]>;
  /** By user. */
  forgets: Map<number, AttemptTo<"forget">[]>;
  restocksOf: Map<number, AttemptTo<"restock">[]>;
  refillsOf: Map<number, Refill[]>;
  /** The attempt that made each grant, where one can have. */
  causes: Map<string, AttemptTo<"issue">>;
  madeOf: Map<number, Made[]>;
  /** Of the coupons that operators made in the run. */
  lives: Map<number, Life>;
  /** For each day: from when on, in ms, it is known to have begun, because a grant of it had been acknowledged. */
  dayKnownSince: Map<string, number>;
}

/** By how much the database's clock may be set back in all, in ms. Its day then begins a second time. */
const SET_BACK_MS = 60_000;

export function gather(history: History, state: FinalState): Facts {
  const [issues, uses, restocks] = [
    attemptsTo(history, "issue"),
    attemptsTo(history, "use", "scan"),
    attemptsTo(history, "restock"),
  ];
  const issuesBy = grouped(issues, ({ ask }) => holding(ask));
  const restocksOf = grouped(restocks, ({ ask }) => ask.coupon);
  const grantsOf = grouped(state.grants, ({ coupon }) => coupon);
  const causes = new Map<string, AttemptTo<"issue">>();
  for (const key of state.grants.map(holding)) {
    const cause = causeOf(issuesBy.get(key) ?? []);
    if (cause) causes.set(key, cause);
  }
  const made = (grant: Grant): Made[] => {
    const cause = causes.get(holding(grant));
    return cause ? [{ ...grant, cause, acknowledgedAt: firstOk(issuesBy.get(holding(grant))) }] : [];
  };
  const dayKnownSince = new Map<string, number>();
  for (const grant of state.grants) {
    const day = dayAt(Date.parse(grant.issued_at) - SET_BACK_MS);
    const since = dayKnownSince.get(day) ?? Number.POSITIVE_INFINITY;
    dayKnownSince.set(day, Math.min(since, firstOk(issuesBy.get(holding(grant)))));
  }
  return {
    history,
    state,
    coupons: new Map(state.coupons.map((row) => [row.coupon, row])),
    grants: new Map(state.grants.map((grant) => [holding(grant), grant])),
    grantsOf,
    grantsOfUser: grouped(state.grants, ({ user }) => user),
    issues: issuesBy,
    issuesOf: grouped(issues, ({ ask }) => ask.coupon),
    uses: grouped(uses, ({ ask }) => holding(ask)),
    undos: grouped(attemptsTo(history, "undo"), ({ ask }) => holding(ask)),
    forgets: grouped(attemptsTo(history, "forget"), ({ ask }) => ask.user),
    restocksOf,
    refillsOf: new Map([...restocksOf].map(([coupon, of]) => [coupon, of.flatMap(refill)])),
    causes,
    madeOf: new Map([...grantsOf].map(([coupon, of]) => [coupon, of.flatMap(made)])),
    lives: livesOf(history),
    dayKnownSince,
  };
}

function livesOf(history: History): Map<number, Life> {
  const told = attemptsTo(history, "create").filter(({ answer }) => answer.is === "ok");
  const idOf = ({ answer }: Attempt) => (answer.is === "ok" && answer.coupon) || 0;
  const [edits, moves, early, withdrawals] = [
    grouped(attemptsTo(history, "edit"), ({ ask }) => ask.coupon),
    grouped(attemptsTo(history, "move"), ({ ask }) => ask.coupon),
    grouped(attemptsTo(history, "early"), ({ ask }) => ask.coupon),
    grouped(attemptsTo(history, "withdraw"), ({ ask }) => ask.coupon),
  ];
  const life = (coupon: number, created: AttemptTo<"create">[]): Life => ({
    created,
    edits: edits.get(coupon) ?? [],
    moves: moves.get(coupon) ?? [],
    early: early.get(coupon) ?? [],
    withdrawals: withdrawals.get(coupon) ?? [],
  });
  return new Map([...grouped(told, idOf)].map(([coupon, created]) => [coupon, life(coupon, created)]));
}

export function attemptsTo<Kind extends Ask["kind"]>(
  { attempts }: History,
  ...kinds: Kind[]
): AttemptTo<Kind>[] {
  const isOne = ({ ask }: Attempt) => (kinds as readonly string[]).includes(ask.kind);
  return attempts.filter((attempt): attempt is AttemptTo<Kind> => isOne(attempt));
}

/** The attempt that was told issued; else the first of those that were not told what became of them. */
function causeOf(attempts: readonly AttemptTo<"issue">[]): AttemptTo<"issue"> | undefined {
  return (
    attempts.find(({ answer }) => answer.is === "ok" && answer.outcome === "issued") ??
    attempts.filter(({ answer }) => isOpen(answer)).toSorted((a, b) => a.invokedAt - b.invokedAt)[0]
  );
}

function refill({ ask, answer, invokedAt, answeredAt }: AttemptTo<"restock">): Refill[] {
  if (!mayBeDone(answer)) return [];
  const until = answer.is === "ok" ? answeredAt : Number.POSITIVE_INFINITY;
  return [{ count: ask.count, from: invokedAt, until }];
}

// ---- What an answer proves ----------------------------------------------------------------------------------------------

/** Whether nobody knows if the attempt was done. */
export function isOpen({ is }: Answer): boolean {
  return is === "unknown" || is === "wrong";
}

export function mayBeDone(answer: Answer): boolean {
  return answer.is === "ok" || isOpen(answer);
}

/** When one of these was first acknowledged; Infinity: never. */
export function firstOk(attempts: readonly Attempt[] = []): number {
  return earliest(attempts.filter(({ answer }) => answer.is === "ok").map(({ answeredAt }) => answeredAt));
}

/** Whether a user can have been forgotten by an instant, ms. */
export function mayBeForgotten({ forgets }: Facts, user: number, by = Number.POSITIVE_INFINITY): boolean {
  return (forgets.get(user) ?? []).some(({ answer, invokedAt }) => mayBeDone(answer) && invokedAt <= by);
}

export function earliest(instants: readonly number[]): number {
  return instants.reduce((first, instant) => Math.min(first, instant), Number.POSITIVE_INFINITY);
}

/** The day of a grant: the service's time zone is UTC in a run. */
export function dayOf(instant: string): string {
  return instant.slice(0, 10);
}

export function grouped<Key, Value>(
  values: readonly Value[],
  keyOf: (value: Value) => Key,
): Map<Key, Value[]> {
  const groups = new Map<Key, Value[]>();
  for (const value of values) {
    const group = groups.get(keyOf(value));
    if (group) group.push(value);
    else groups.set(keyOf(value), [value]);
  }
  return groups;
}

// ---- How a finding tells them -------------------------------------------------------------------------------------------

export function holding({ coupon, user }: { coupon: number; user: number }): string {
  return `user ${user} of coupon ${coupon}`;
}

export function asked({ ask }: Attempt): string {
  return Object.values(ask).join(" ");
}

export function said(answer: Answer): string {
  return answer.is === "ok" && answer.position !== undefined
    ? `${answer.outcome} ${answer.position}`
    : answer.outcome;
}

/** What each of these attempts was told. */
export function allSaid(attempts: readonly Attempt[]): string {
  return attempts.map(({ answer }) => said(answer)).join(", ");
}

export function ms(instant: number): string {
  return `${instant.toFixed(1)} ms`;
}

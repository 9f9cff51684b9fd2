/**
 * Reads from a standby. A read is answered by it only if it has replayed all that was committed a second before; else the primary answers.
 *
 * How far it is tells the position in the WAL, since times do not: clocks differ, and the time of the last replayed commit is old on a
 * database at rest. A few times a second the primary is asked for its position. Before each read, and in the same session, the standby is
 * asked how far it has come: it must be at, or past, a position that the primary had within the last second. A primary that is not
 * reached tells none, and so the standby is left, too. That also compares what they are: another system, another database and a
 * standby that may follow another timeline are left, whatever their positions.
 */
import type postgres from "postgres";
import { createHosts } from "../../db/hosts.ts";
import type { Target } from "../../db/target.ts";
import { DatabaseError } from "./errors.ts";
import { type Call, createPool, type Pool, type Statement } from "./pool.ts";

/** What a standby may lack, ms. */
export const MAX_LAG_MS = 1_000;
/** What its clock may differ from the primary's, ms: people count down by what it says. */
const MAX_SKEW_MS = 100;
/** Between two questions to the primary, ms. */
const ASK_MS = 250;
/** For the standby's word how far it is, ms. */
const WORD_MS = 1_000;
/** A standby that was left is asked again after so long, ms. */
const LEFT_MS = 1_000;
/** Connections: those of the pools that it stands in for. */
const SESSIONS = 5;

/** Why it was left. */
const REASONS = [
  "behind",
  /** It was not reached, or a read failed. */
  "failed",
  "no_standby",
  /** Or another system. */
  "other_database",
  /** It may follow another one than the primary. */
  "timeline",
  /** It differs too much from that of the primary. */
  "clock",
  /** Nobody knows the primary's position. */
  "primary_silent",
] as const;
export type Reason = (typeof REASONS)[number];

/** What one of the two said, asked at `at` on performance.now() and answered at `until`. */
interface Word {
  at: number;
  until: number;
  lsn: number | null;
  /** Its time, ms since 1970. */
  clock: number;
  system: string;
  database: string;
  timeline: number;
}

export type Mark = Word & { lsn: number };

/** Reads by who answered them, and how often the standby was left. */
export function noReads() {
  return {
    reads: { standby: 0, primary: 0 },
    left: Object.fromEntries(REASONS.map((reason) => [reason, 0])) as Record<Reason, number>,
  };
}

export type Standby = ReturnType<typeof createStandby>;

/** Knows nothing at first: until the standby has shown that it is fit, the primary answers. `ready` asks the primary. */
export function createStandby(target: Target, ready: Pool, callMs?: number) {
  const hosts = target.hosts.length > 1 ? createHosts(target) : undefined;
  const sessions = Array.from({ length: SESSIONS }, () =>
    // One connection each: what is asked of it is answered in order, by the same session.
    createPool({ target, hosts }, 1, "standby", undefined, callMs),
  );
  // A pooler in transaction mode (PgBouncer 1.18) takes a session back after the first of two statements, with the second one in it.
  const isPooled = target.driverOptions().prepare === false;
  const { reads, left } = noReads();
  const listeners: ((reason: Reason | undefined) => void)[] = [];
  let marks: Mark[] = [];
  let state: Reason | "fit" | "new" = "new";
  let askAgainAt = 0;
  let isOver = false;

  function become(next: Reason | undefined): void {
    if (next !== undefined) {
      if (state !== next) left[next] += 1;
      askAgainAt = performance.now() + LEFT_MS;
      hosts?.avoid(LEFT_MS);
      if (hosts) for (const session of sessions) session.renew();
    }
    const before = state;
    state = next ?? "fit";
    if (before !== state) for (const listener of listeners) listener(next);
  }

  /** The oldest position that is good enough. */
  function needed(): Mark | undefined {
    const since = performance.now() - MAX_LAG_MS;
    marks = marks.filter(({ at }) => at >= since);
    return marks[0];
  }

  /** Asks the primary where it is; and a standby that is not read from, whether it is fit by now. */
  async function look(): Promise<void> {
    const at = performance.now();
    const mark = await ready<Omit<Mark, "at" | "until">>(
      (sql) => sql`
        select
          pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(), '0/0') as lsn,
          extract(epoch from pg_catalog.clock_timestamp()) * 1000 as clock,
          (select c.system_identifier::text from pg_catalog.pg_control_system() c) as system,
          pg_catalog.current_database()::text as database,
          ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8))::bit(32)::integer as timeline
      `,
    ).then(
      ([row]) => row && { at, until: performance.now(), ...row },
      () => undefined,
    );
    if (mark) marks.push(mark);
    const need = needed();
    if (state === "fit" || need === undefined || performance.now() < askAgainAt) return;
    // The first session's host is that of all others.
    const answer = await checked(sessions[0] as Pool, need, undefined, isPooled);
    if (!isOver) become(answer.reason);
  }

  async function watch(): Promise<void> {
    while (!isOver) {
      await look();
      await new Promise<void>((resolve) => void setTimeout(resolve, ASK_MS).unref());
    }
  }

  /** The rows from the standby; undefined if the primary has to be asked. */
  async function read<Row>(statement: Statement): Promise<Row[] | undefined> {
    if (state !== "fit") return undefined;
    const need = needed();
    if (need === undefined) {
      become("primary_silent");
      return undefined;
    }
    const [session] = [...sessions].sort((a, b) => load(a) - load(b)) as [Pool];
    const { reason, rows } = await checked<Row>(session, need, statement, isPooled);
    if (reason !== undefined && state === "fit") become(reason);
    return rows;
  }

  void watch();

  return {
    reads,
    left,
    /** Told when the standby is read from, or left and why. */
    onChange: (listener: (reason: Reason | undefined) => void) => void listeners.push(listener),
    /** Calls that are answered by the standby, or else through the primary's pool. */
    before:
      (primary: Call): Call =>
      async <Row>(statement: Statement) => {
        const rows = await read<Row>(statement);
        reads[rows ? "standby" : "primary"] += 1;
        return rows ?? primary<Row>(statement);
      },
    async close(ms: number) {
      isOver = true;
      await Promise.all(sessions.map((session) => session.close(ms)));
    },
  };
}

const load = ({ figures }: Pool) => figures.running + figures.waiting;

/**
 * Runs the statement behind the question how far the standby is. Without statement only asks. Neither rows nor a reason: the standby is
 * fit, and refused an argument. What it does not know yet may be there, such as the id of an entry, so the primary decides.
 */
async function checked<Row>(
  session: Pool,
  need: Mark,
  statement: Statement | undefined,
  isPooled: boolean,
): Promise<{ reason?: Reason; rows?: Row[] }> {
  let reason: Reason | undefined = "failed";
  let timer: NodeJS.Timeout | undefined;
  const asked = session<Row>(async (sql) => {
    const at = performance.now();
    const word = where(sql);
    const read = () => (statement === undefined ? word : Promise.resolve(statement(sql)));
    // Behind it on the same connection: no round trip more.
    const behind = isPooled ? undefined : read();
    behind?.catch(() => {});
    const [told] = await word;
    reason = unfit({ ...(told as Place), at, until: performance.now() }, need);
    clearTimeout(timer);
    if (reason !== undefined)
      throw new DatabaseError("unavailable", "", `the standby is not read from: ${reason}`);
    return behind ?? read();
  });
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("too late")), WORD_MS);
  });
  try {
    return { rows: await Promise.race([asked, late]) };
  } catch (error) {
    if (error instanceof DatabaseError && error.kind === "argument") return {};
    return { reason: reason ?? "failed" };
  } finally {
    clearTimeout(timer);
    asked.catch(() => {});
  }
}

export type Place = Word & { is_standby: string };

/**
 * The position is asked before the read's snapshot is taken, so the read sees all that was replayed up to it. The timeline is the one of the last
 * restart point or later: it may be behind, and never ahead.
 */
function where(sql: postgres.Sql): Promise<readonly object[]> {
  return Promise.resolve(sql`
    select
      pg_catalog.pg_is_in_recovery()::text as is_standby,
      pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_replay_lsn(), '0/0') as lsn,
      extract(epoch from pg_catalog.clock_timestamp()) * 1000 as clock,
      (select c.system_identifier::text from pg_catalog.pg_control_system() c) as system,
      pg_catalog.current_database()::text as database,
      greatest(
        (select c.timeline_id from pg_catalog.pg_control_checkpoint() c),
        (select c.min_recovery_end_timeline from pg_catalog.pg_control_recovery() c)) as timeline
  `);
}

/** Why the standby is not read from; undefined if it is fit. */
export function unfit(
  { is_standby, lsn, system, database, timeline, ...word }: Place,
  need: Mark,
): Reason | undefined {
  if (system !== need.system || database !== need.database) return "other_database";
  if (is_standby !== "true" || lsn === null) return "no_standby";
  if (timeline !== need.timeline) return "timeline";
  if (skew(word, need) > MAX_SKEW_MS) return "clock";
  return lsn < need.lsn ? "behind" : undefined;
}

type Times = Pick<Word, "at" | "until" | "clock">;

/** By how many ms two clocks differ at least: when in its time each of the answers was made is not known. */
function skew(one: Times, other: Times): number {
  const ahead = (a: Times, b: Times) => a.clock - a.until - (b.clock - b.at);
  return Math.max(ahead(one, other), ahead(other, one), 0);
}

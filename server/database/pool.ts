/** A pool of connections to the database: bounded calls with deadlines. */
import type postgres from "postgres";
import { type Hosts, pauseAfter } from "../../db/hosts.ts";
import type { Target } from "../../db/target.ts";
import { DatabaseError, explain, lasting, READ_ONLY } from "./errors.ts";
import { type Needs, open, prove, wasSent } from "./session.ts";
import { createTurns, type Turns } from "./turns.ts";

/** Deadline of a call. It is longer than the role's statement_timeout (5 s), so only a lost database exceeds it. */
const CALL_MS = 6_000;

export type Pool = ReturnType<typeof createPool>;

export type Statement = (sql: postgres.Sql) => PromiseLike<readonly object[]>;

/** Runs one statement, which is one transaction, and returns its rows. */
export type Call = <Row>(statement: Statement) => Promise<Row[]>;

/** Where a pool's sessions are: one host, or the wanted one of several. */
export interface Place {
  target: Target;
  hosts: Hosts | undefined;
}

/** What a pool tells the others. */
export interface Signals {
  /** A connection was lost or closed: what it said may belong to a database that is no more. */
  lost(): void;
  /** The database takes no writes: no pool keeps its sessions. */
  readOnly(): void;
  /** Commits wait for a standby: no pool sends what might wait too. */
  stalled(): void;
  /** What a commit waits for, in words. */
  commits(waitFor: string): void;
}

const NO_SIGNALS: Signals = { lost() {}, readOnly() {}, stalled() {}, commits() {} };

const UNREPLICATED = "the wait for the synchronous standby was cancelled, of this call or of one beside it";

/** How long it holds at most that commits are stalled, ms: no other database is looked for. */
const STALLED_MS = 250;

/** The sessions of a pool, until they are replaced. */
interface Sessions {
  sql: postgres.Sql;
  isProven: boolean;
  proof: Promise<void> | undefined;
  /** Commits so far that were let through before the synchronous standbys had them. */
  unreplicated: number;
}

/**
 * A pool that runs at most `max` calls at once, one per connection. The driver alone would pipeline several calls on one connection,
 * and a call behind one that waits for a lock would wait too.
 */
export function createPool(
  place: Place,
  max: number,
  needs: Needs,
  signals: Signals = NO_SIGNALS,
  callMs = CALL_MS,
) {
  const sessions = createSessions(place, max, needs, signals, callMs);
  const tooMany = () => failed(new DatabaseError("busy", "", "too many calls wait for the database"), false);
  const turns = createTurns(max, tooMany);
  /** Of calls that may take a part of the connections only. */
  const parts: Turns[] = [];
  const noAnswer = `no answer from the database in ${callMs} ms`;
  const errors = { unavailable: 0, busy: 0, stalled: 0, conflict: 0, unknown: 0, argument: 0, defect: 0 };

  function failed(error: unknown, isSent: boolean): DatabaseError {
    const explained = explain(error, isSent, place.target.host);
    errors[explained.kind] += 1;
    return explained;
  }

  /** Runs one statement, which is one transaction. What a concurrent transaction may have refused is run once more. */
  function call<Row>(statement: Statement): Promise<Row[]> {
    return once<Row>(statement).catch((error: DatabaseError) => {
      if (error.kind !== "conflict") throw error;
      return once<Row>(statement).catch((again: DatabaseError) => {
        const last = lasting(again);
        if (last !== again) errors[last.kind] += 1;
        throw last;
      });
    });
  }

  /** It never cancels a statement: that would turn an unknown outcome into a wrong one. */
  async function once<Row>(statement: Statement): Promise<Row[]> {
    const turn = turns.take();
    if (turn !== undefined) await turn;
    let used = sessions.current();
    let { unreplicated } = used;
    let running: PromiseLike<readonly object[]> | undefined;
    let isLate = false;
    const isSent = () => running !== undefined && wasSent(running);
    const start = () => {
      if (isLate) throw new DatabaseError("unavailable", "", "too late");
      running = statement(used.sql);
      return running;
    };
    let timer: NodeJS.Timeout | undefined;
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          isLate = true;
          reject(new DatabaseError(isSent() ? "unknown" : "unavailable", "", noAnswer));
          // A half-open connection never reports an error, so this pool is replaced, and its host asked whether it still is the one.
          place.hosts?.lost();
          sessions.retire(used, 0);
        }, callMs);
      });
      const rows = whole(
        (await Promise.race([
          used.isProven ? start() : sessions.fit((next) => ({ unreplicated } = used = next)).then(start),
          late,
        ])) as Answered<Row>,
      );
      // One of the calls that ran meanwhile, perhaps this one: a failover may take back what it answered.
      if (used.unreplicated !== unreplicated) throw new DatabaseError("unknown", "01000", UNREPLICATED);
      return rows;
    } catch (error) {
      const explained = failed(error, isSent());
      // An answer that the driver could not read (it has no SQLSTATE) leaves the session as one that is lost does.
      if (explained.kind === "unknown" || (isSent() && explained.sqlstate === ""))
        sessions.retire(used, callMs);
      // A session that was proven: meanwhile the database became a standby, or was closed to writes.
      if (explained.sqlstate === READ_ONLY && isSent()) signals.readOnly();
      throw explained;
    } finally {
      clearTimeout(timer);
      turns.pass();
    }
  }

  /** For calls that take `most` of the connections at once, so that other calls find one. */
  call.atMost = (most: number): Call => {
    const places = createTurns(most, tooMany);
    parts.push(places);
    return async <Row>(statement: Statement) => {
      await places.take();
      return call<Row>(statement).finally(places.pass);
    };
  };
  /** The next call asks first what the database is. */
  call.doubt = () => sessions.doubt();
  /** The same, unless it does so anyway. */
  call.distrust = () => sessions.distrust();
  /** Sends no more calls to the sessions that it has. Those in flight have `ms` to finish. */
  call.renew = (ms = callMs) => sessions.retire(sessions.current(), ms);
  call.close = (ms: number) => sessions.close(ms);
  call.figures = figuresOf(max, turns, parts, errors);
  return call;
}

function figuresOf<Errors>(size: number, turns: Turns, parts: readonly Turns[], errors: Errors) {
  return {
    size,
    get running() {
      return turns.running();
    },
    get waiting() {
      return parts.reduce((sum, part) => sum + part.waiting(), turns.waiting());
    },
    errors,
  };
}

/**
 * The sessions of a pool: proven before their first call, and replaced when they can't be trusted any more.
 *
 * A call that was given up while its commit waits for a standby keeps its session in PostgreSQL until that standby is there: nothing
 * tells the session that nobody listens any more. So while one waits, no pool sends what might wait too. That bounds a process to
 * twice its connections.
 */
function createSessions(
  { target, hosts }: Place,
  max: number,
  needs: Needs,
  signals: Signals,
  callMs: number,
) {
  let current = opened();
  /** Questions in a row after which the database was not fit. */
  let failures = 0;
  let isClosed = false;

  function opened(): Sessions {
    const told = {
      closed() {
        doubt(sessions);
        signals.lost();
      },
      unreplicated() {
        sessions.unreplicated += 1;
      },
    };
    const sql = open(target, max, told, hosts);
    const sessions: Sessions = { sql, isProven: false, proof: undefined, unreplicated: 0 };
    return sessions;
  }

  /** The next call asks again: the driver connects anew where a connection was lost, and may reach another database. */
  function doubt(sessions = current): void {
    sessions.isProven = false;
    sessions.proof = undefined;
  }

  function distrust(): void {
    if (current.isProven) doubt();
  }

  /** Proves the current sessions for a call. What is replaced meanwhile tells nothing, and nothing was sent: the next ones are used, once. */
  async function fit(use: (next: Sessions) => void): Promise<void> {
    const asked = current;
    await proven(asked).catch((error) => {
      if (current === asked) throw error;
    });
    if (current === asked) return;
    use(current);
    if (!current.isProven) await proven(current);
  }

  /** Asks once for all calls that wait. What fails before the first call has not been done, whatever it is. */
  function proven(used: Sessions): Promise<void> {
    used.proof ??= prove(used.sql, needs)
      .then(({ waitFor, isStalled }) => {
        signals.commits(waitFor);
        if (isStalled && needs === "writes") {
          signals.stalled();
          throw new DatabaseError("stalled", "", `Commits wait for ${waitFor}.`);
        }
        used.isProven = true;
        failures = 0;
      })
      .catch((error) => {
        const again = () => {
          used.proof = undefined;
        };
        if (!(error instanceof DatabaseError)) again();
        else askLater(used, error);
        throw explain(error, false, target.host);
      });
    return used.proof;
  }

  /**
   * The driver's back-off bounds attempts to connect, and this the questions to a database that answers and is not fit. The next connection
   * may reach another one at the same address.
   */
  function askLater(used: Sessions, { kind }: DatabaseError): void {
    setTimeout(
      () => retire(used, callMs),
      pauseAfter(failures, kind === "stalled" ? STALLED_MS : undefined),
    ).unref();
    failures += 1;
  }

  /**
   * Sends no more calls to these sessions. Calls in flight have `ms` to finish. The driver (postgres 3.4.9) continues to use a connection
   * whose socket was lost: rows that had arrived appear in the next result (porsager/postgres#1119), and a call that it never sent gets
   * the answer of the next call (no report is known).
   */
  function retire(used: Sessions, ms: number): void {
    if (current === used && !isClosed) {
      current = opened();
      signals.lost();
    }
    void used.sql.end({ timeout: ms / 1000 }).catch(() => {});
  }

  function close(ms: number): Promise<void> {
    isClosed = true;
    return current.sql.end({ timeout: ms / 1000 });
  }

  return { current: () => current, fit, retire, doubt, distrust, close };
}

type Answered<Row> = Row[] & { command?: string | null; count?: number | null };

/**
 * The driver (postgres 3.4.9; no report is known) returns an empty result without a command for a call that it never sent on a lost
 * connection.
 */
export function whole<Row>(rows: Answered<Row>): Row[] {
  if (rows.command !== "SELECT" || rows.count !== rows.length)
    throw new DatabaseError("unknown", "", `${rows.length} rows of ${rows.count} of ${rows.command}`);
  return rows;
}

/** Connections to the database: bounded calls with deadlines, sockets, and parsing of values. */
import { connect as connectSocket } from "node:net";
import postgres from "postgres";
import { DatabaseError, explain, HUNG_UP } from "./errors.ts";

/** Deadline of a call. It is longer than the role's statement_timeout (5 s), so only a lost database exceeds it. */
const CALL_MS = 6_000;

/** Calls that may wait for a connection of a pool, and how long. Further calls are refused before they reach the database. */
const MAX_WAITING = 2_000;
const MAX_WAIT_MS = 2_000;

export type Pool = ReturnType<typeof createPool>;

/**
 * A pool that runs at most `max` calls at once, one per connection. The driver alone would pipeline several calls on one connection,
 * and a call behind one that waits for a lock would wait too.
 */
export function createPool(url: string, max: number, callMs = CALL_MS) {
  let sql = open(url, max);
  const turns = createTurns(max);
  const errors = { unavailable: 0, busy: 0, conflict: 0, unknown: 0, argument: 0, defect: 0 };

  function failed(error: unknown): DatabaseError {
    const explained = explain(error);
    errors[explained.kind] += 1;
    return explained;
  }

  /** Runs one statement, which is one transaction. It never cancels a statement: that would turn an unknown outcome into a wrong one. */
  async function call<Row>(statement: (sql: postgres.Sql) => PromiseLike<readonly object[]>): Promise<Row[]> {
    const turn = turns.take();
    if (turn !== undefined)
      await turn.catch((error) => {
        throw failed(error);
      });
    const used = sql;
    let timer: NodeJS.Timeout | undefined;
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          // A half-open connection never reports an error, so this pool is replaced.
          retire(used, 0);
          reject(new DatabaseError("unknown", "", `no answer from the database in ${callMs} ms`));
        }, callMs);
      });
      return whole((await Promise.race([statement(used), late])) as Answered<Row>);
    } catch (error) {
      const explained = failed(error);
      if (explained.kind === "unknown") retire(used, callMs);
      throw explained;
    } finally {
      clearTimeout(timer);
      turns.pass();
    }
  }

  /**
   * Sends no more calls to this pool. Calls in flight have `ms` to finish. The driver (postgres 3.4.9) continues to use a connection
   * whose socket was lost: rows that had arrived appear in the next result, and a call that it never sent gets the answer of the next
   * call.
   */
  function retire(used: postgres.Sql, ms: number): void {
    if (sql === used) sql = open(url, max);
    void used.end({ timeout: ms / 1000 }).catch(() => {});
  }

  call.close = (ms: number) => sql.end({ timeout: ms / 1000 });
  call.figures = {
    size: max,
    get running() {
      return turns.running();
    },
    get waiting() {
      return turns.waiting();
    },
    errors,
  };
  return call;
}

/** Lets `max` calls run at once, in order of arrival. */
function createTurns(max: number) {
  let running = 0;
  const waiting: (() => void)[] = [];
  const tooMany = () => new DatabaseError("busy", "", "too many calls wait for the database");

  function wait(): Promise<void> {
    if (waiting.length >= MAX_WAITING) return Promise.reject(tooMany());
    return new Promise((resolve, reject) => {
      const take = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(take), 1);
        reject(tooMany());
      }, MAX_WAIT_MS);
      waiting.push(take);
    });
  }

  return {
    /** Takes a place. If none is free, returns a promise of one. */
    take(): Promise<void> | undefined {
      if (running >= max) return wait();
      running += 1;
      return undefined;
    },
    /** Gives the place to the first call that waits. */
    pass(): void {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    },
    running: () => running,
    waiting: () => waiting.length,
  };
}

type Answered<Row> = Row[] & { command?: string | null; count?: number | null };

/** The driver (postgres 3.4.9) returns an empty result without a command for a call that it never sent on a lost connection. */
export function whole<Row>(rows: Answered<Row>): Row[] {
  if (rows.command !== "SELECT" || rows.count !== rows.length)
    throw new DatabaseError("unknown", "", `${rows.length} rows of ${rows.count} of ${rows.command}`);
  return rows;
}

/**
 * A proxy without a backend accepts connections and closes them. The driver (postgres 3.4.9) then reconnects at once, for ever: 2,000
 * connections in 3 s for one call. This socket reports such a close as an error, so the caller is told and the back-off works.
 *
 * It also reports an error and the close that follows in the same turn: the driver never sends a call that it hands to a connection
 * between the two.
 */
export function openSocket({
  host: [host],
  port: [port],
  path,
}: {
  host: string[];
  port: number[];
  path?: string | false;
}) {
  const socket = Object.assign(path ? connectSocket(path) : connectSocket({ host, port: Number(port) }), {
    host,
  });
  let hasSpoken = false;
  const hungUp = () => Object.assign(new Error("hung up before a word"), { code: HUNG_UP });
  const ended = () => void socket.destroy(hungUp());
  socket.once("end", ended).once("data", () => {
    hasSpoken = true;
    socket.off("end", ended);
  });
  const emit = socket.emit.bind(socket) as (event: string | symbol, ...args: unknown[]) => boolean;
  let error: { code?: string } | undefined;
  socket.emit = (event: string | symbol, ...args: unknown[]) => {
    if (event === "error") {
      error = args[0] as { code?: string };
      return true;
    }
    if (event === "close" && error)
      emit("error", error.code === "ECONNRESET" && !hasSpoken ? hungUp() : error);
    return emit(event, ...args);
  };
  return socket;
}

function open(url: string, max: number): postgres.Sql {
  const hasSslMode = new URL(url).searchParams.has("sslmode");
  return postgres(url, {
    max,
    connect_timeout: 2,
    idle_timeout: 0,
    // Short, to reconnect soon after an outage; the driver's own back-off grows without limit.
    backoff: (retries: number) => Math.min(0.05 * 2 ** retries, 0.5),
    onnotice: () => {},
    // With fetch_types the driver (postgres 3.4.9) first runs a query for array types on each connection. If that connection is lost
    // meanwhile, nobody handles the rejection, which would end the process.
    fetch_types: false,
    ...({ socket: openSocket } as object), // the driver has this option, its types do not
    ...(hasSslMode ? {} : { ssl: "prefer" as const }),
    connection: {
      application_name: `coupon-server ${process.pid}`,
      TimeZone: "UTC",
      IntervalStyle: "iso_8601",
    },
    types: {
      bigint: { to: 20, from: [20], serialize: String, parse: Number },
      numeric: { to: 1700, from: [1700], serialize: String, parse: Number },
      date: { to: 1082, from: [1082], serialize: String, parse: String },
      timestamptz: { to: 1184, from: [1184], serialize: String, parse: parseInstant },
      interval: { to: 1186, from: [1186], serialize: String, parse: parseSeconds },
    },
  });
}

/** Converts PostgreSQL's "2026-11-22 12:58:52.455223+00" to RFC 3339. */
function parseInstant(text: string): string {
  return text.replace(" ", "T").replace(/\+00$/, "Z");
}

/** Parses an ISO 8601 duration of days and smaller units; the difference of two instants has no larger ones. */
export function parseSeconds(text: string): number {
  const part = (unit: string, within: string) => Number(within.match(`(-?[0-9.]+)${unit}`)?.[1] ?? 0);
  const [days = "", time = ""] = text.split("T");
  return part("D", days) * 86_400 + part("H", time) * 3_600 + part("M", time) * 60 + part("S", time);
}

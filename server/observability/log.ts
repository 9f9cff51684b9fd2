/**
 * JSON, a line an event, to stdout. Which lines are written is ours: libraries such as pino know levels, but not "ten a second of each
 * kind, and then how many more".
 */
import { type Clock, systemClock } from "../clock.ts";
import type { DatabaseError } from "../database/errors.ts";
import type { Env } from "../env.ts";
import { createStdout } from "./stdout.ts";

export interface Log {
  /** What the process does. */
  event(message: string, members?: Record<string, unknown>): void;
  /**
   * A request: what changed something at info, each; refusals at info and failures of ours at warn, SAMPLE a second of each
   * status, and then how many more there were; all the rest at debug. `noted` is what the answer acknowledges, or why a token is refused.
   */
  request(
    method: string,
    path: string,
    status: number,
    ms: number,
    requestId: string,
    traceId?: string | undefined,
    noted?: Record<never, unknown>,
  ): void;
  /**
   * An error of ours or of the database, with its SQLSTATE and constraint; the client is told none of it. Each reason once, and then
   * each minute how often it came again; at debug each time.
   */
  failure(error: unknown, requestId?: string): void;
  /** Lines that were left out so far: sampled out, or more than stdout's reader took. */
  dropped(): number;
}

const LEVELS = ["debug", "info", "warn", "error"] as const;
type Level = (typeof LEVELS)[number];

/** Lines a second of requests with one status, so that a burst or an outage can't drown the log, or the process in writing it. */
export const SAMPLE = 10;

/** How long a reason of failures is not told again, ms. */
const REASON_MS = 60_000;
/** Reasons that are told apart; further ones are told by their kind. */
const MAX_REASONS = 100;

/** `write` answers false when it has no room for a line. */
export function createLog(
  threshold: Env["LOG_LEVEL"],
  write: (line: string) => unknown = createStdout(),
  clock: Clock = systemClock,
): Log {
  const wanted = new Set<Level>(LEVELS.slice(LEVELS.indexOf(threshold)));
  const seen = new Map<string | number, number>();
  /** Reasons that were told, and how often each came since. */
  const reasons = new Map<string, number>();
  let dropped = 0;
  /** Lines that there was no room for since the last one that was written. */
  let missing = 0;

  function line(level: Level, message: string, members: Record<string, unknown>): void {
    if (missing > 0 && put("warn", "not logged", { why: "stdout was full", count: missing })) missing = 0;
    if (missing === 0 && put(level, message, members)) return;
    missing += 1;
    dropped += 1;
  }

  function put(level: Level, message: string, members: Record<string, unknown>): boolean {
    const time = new Date(clock.wall()).toISOString();
    return write(`${JSON.stringify({ time, level, message, ...members })}\n`) !== false;
  }

  /** Whether this one is written; who isn't is counted, in a line a second. */
  function isSampled(level: Level, key: string | number, kind: Record<string, string | number>): boolean {
    const before = seen.get(key) ?? 0;
    seen.set(key, before + 1);
    if (before === 0)
      clock.after(1_000, () => {
        const more = (seen.get(key) ?? 0) - SAMPLE;
        seen.delete(key);
        if (more > 0) line(level, "not logged", { ...kind, count: more });
      });
    if (before < SAMPLE) return true;
    dropped += 1;
    return false;
  }

  /** Whether nobody was told of it yet. */
  function isNew(exact: string, kind: string, members: Record<string, unknown>): boolean {
    const reason = reasons.size < MAX_REASONS || reasons.has(exact) ? exact : kind;
    const again = reasons.get(reason);
    reasons.set(reason, again === undefined ? 0 : again + 1);
    if (again === undefined) countAgain(reason, members);
    else dropped += 1;
    return again === undefined;
  }

  function countAgain(reason: string, members: Record<string, unknown>): void {
    clock.after(REASON_MS, () => {
      const count = reasons.get(reason) ?? 0;
      reasons.delete(reason);
      if (count === 0) return;
      line("error", "failed again", { ...members, count });
      reasons.set(reason, 0);
      countAgain(reason, members);
    });
  }

  return {
    event(message, members = {}) {
      if (wanted.has("info")) line("info", message, members);
    },
    request(method, path, status, ms, requestId, traceId, noted) {
      const isRead = method !== "POST" && status < 400;
      const level = status >= 500 ? "warn" : isRead ? "debug" : "info";
      if (!wanted.has(level)) return;
      if (status >= 400 && !wanted.has("debug") && !isSampled(level, status, { status })) return;
      line(level, "request", {
        method,
        path,
        status,
        ms: Math.round(ms * 1000) / 1000,
        request_id: requestId,
        trace_id: traceId,
        ...noted,
      });
    },
    failure(error, requestId) {
      if (!wanted.has("error")) return;
      const { name, message, kind, sqlstate, subject, place, stack } = error as Error &
        Partial<DatabaseError>;
      const what = { name, kind, sqlstate, subject, ...place };
      const known = kind !== undefined && kind !== "defect";
      const reason = [...Object.values(what), message.replace(/\d+/g, "0")].join(" ");
      if (!wanted.has("debug") && !isNew(reason, `${name} ${kind}`, { error: message, ...what })) return;
      line("error", message, { ...what, request_id: requestId, ...(known ? {} : { stack }) });
    },
    dropped: () => dropped,
  };
}

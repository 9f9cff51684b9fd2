/**
 * JSON, a line an event, to stdout. Which lines are written is ours: libraries such as pino know levels, but not "ten a second of each
 * kind, and then how many more".
 */
import { type Clock, systemClock } from "../clock.ts";
import type { Env } from "../env.ts";
import { createStdout } from "./stdout.ts";

export interface Log {
  /** What the process does. */
  event(message: string, members?: Record<string, unknown>): void;
  /**
   * A request: what changed something at info, each; refusals at info and failures of ours at warn, SAMPLE a second of each
   * status, and then how many more there were; all the rest at debug.
   */
  request(
    method: string,
    path: string,
    status: number,
    ms: number,
    requestId: string,
    traceId?: string | undefined,
  ): void;
  /** An error of ours or of the database, with its SQLSTATE, SAMPLE a second of each kind; the client is told none of it. */
  failure(error: unknown, requestId?: string): void;
  /** Lines that were left out so far: sampled out, or more than stdout's reader took. */
  dropped(): number;
}

const LEVELS = ["debug", "info", "warn", "error"] as const;
type Level = (typeof LEVELS)[number];

/** Lines a second of one kind, so that a burst or an outage can't drown the log, or the process in writing it. */
export const SAMPLE = 10;

/** `write` answers false when it has no room for a line. */
export function createLog(
  threshold: Env["LOG_LEVEL"],
  write: (line: string) => unknown = createStdout(),
  clock: Clock = systemClock,
): Log {
  const wanted = new Set<Level>(LEVELS.slice(LEVELS.indexOf(threshold)));
  const seen = new Map<string | number, number>();
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

  return {
    event(message, members = {}) {
      if (wanted.has("info")) line("info", message, members);
    },
    request(method, path, status, ms, requestId, traceId) {
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
      });
    },
    failure(error, requestId) {
      const { name, message, kind, sqlstate, subject, stack } = error as Error & Record<string, unknown>;
      const what = { kind: `${kind}`, sqlstate: `${sqlstate}` };
      if (!wanted.has("error") || !isSampled("error", `${kind} ${sqlstate}`, what)) return;
      const known = kind !== undefined && kind !== "defect";
      line("error", message, {
        name,
        kind,
        sqlstate,
        subject,
        request_id: requestId,
        ...(known ? {} : { stack }),
      });
    },
    dropped: () => dropped,
  };
}

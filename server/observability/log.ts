/** JSON, a line an event, to stdout. */
import type { Env } from "../env.ts";

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
  /** Lines that were only counted so far. */
  dropped(): number;
}

const LEVELS = ["debug", "info", "warn", "error"] as const;
type Level = (typeof LEVELS)[number];

/** Lines a second of one kind, so that a burst or an outage can't drown the log, or the process in writing it. */
export const SAMPLE = 10;

export function createLog(threshold: Env["LOG_LEVEL"], write = bufferedStdout()): Log {
  const wanted = new Set<Level>(LEVELS.slice(LEVELS.indexOf(threshold)));
  const seen = new Map<string | number, number>();
  let dropped = 0;

  function line(level: Level, message: string, members: Record<string, unknown>): void {
    write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...members })}\n`);
  }

  /** Whether this one is written; who isn't is counted, in a line a second. */
  function isSampled(level: Level, key: string | number, kind: Record<string, string | number>): boolean {
    const before = seen.get(key) ?? 0;
    seen.set(key, before + 1);
    if (before === 0)
      setTimeout(() => {
        const more = (seen.get(key) ?? 0) - SAMPLE;
        seen.delete(key);
        if (more > 0) line(level, "not logged", { ...kind, count: more });
      }, 1_000).unref();
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

/** One write for all lines of a turn of the event loop: each is a system call that blocks. */
function bufferedStdout(): (line: string) => void {
  let lines = "";
  const flush = () => {
    if (lines !== "") process.stdout.write(lines);
    lines = "";
  };
  process.once("exit", flush);
  return (line) => {
    if (lines === "") setImmediate(flush);
    lines += line;
  };
}

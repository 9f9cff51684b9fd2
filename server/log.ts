/** JSON, a line an event, to stdout. */
import type { Env } from "./env.ts";

export interface Log {
  /** What the process does. */
  event(message: string, members?: Record<string, unknown>): void;
  /** A request: at info what changed something or failed by our fault, at debug all; a burst's refusals say nothing. */
  request(method: string, path: string, status: number, ms: number, requestId: string): void;
  /** An error of ours or of the database, once, with its SQLSTATE; the client is told none of it. */
  failure(error: unknown, requestId?: string): void;
}

const LEVELS = ["debug", "info", "warn", "error"] as const;
type Level = (typeof LEVELS)[number];

export function createLog(
  threshold: Env["LOG_LEVEL"],
  write = (line: string) => void process.stdout.write(line),
): Log {
  const wanted = new Set<Level>(LEVELS.slice(LEVELS.indexOf(threshold)));

  function line(level: Level, message: string, members: Record<string, unknown>): void {
    write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...members })}\n`);
  }

  return {
    event(message, members = {}) {
      if (wanted.has("info")) line("info", message, members);
    },
    request(method, path, status, ms, requestId) {
      const level = status >= 500 ? "warn" : status < 300 && method !== "GET" ? "info" : "debug";
      if (!wanted.has(level)) return;
      line(level, "request", {
        method,
        path,
        status,
        ms: Math.round(ms * 1000) / 1000,
        request_id: requestId,
      });
    },
    failure(error, requestId) {
      if (!wanted.has("error")) return;
      const { name, message, kind, sqlstate, subject, stack } = error as Error & Record<string, unknown>;
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
  };
}

/**
 * The clock, passed to what waits or measures, so that a test can move it. These have the system's:
 *
 * - db/hosts.ts and database/ (pool, session, standby, turns), whose times are those of sockets and sessions: the driver's timers and
 *   PostgreSQL's would not move with it, and their tests have real servers that come and go;
 * - http/wire.ts, since the limits of a connection are Node.js's own timers, and what keys and webhooks fetch (AbortSignal.timeout);
 * - serve.ts, workers.ts and worker-metrics.ts, which wait for processes;
 * - commands/ and cluster/, which are programs of their own.
 */
export interface Clock {
  /** Milliseconds on a clock that only goes forward: for durations. */
  now(): number;
  /** Milliseconds since 1970, on a clock that can be set: for tokens and log lines. */
  wall(): number;
  /** Calls `then` once after `ms`, without keeping the process alive. Returns a function that cancels it. */
  after(ms: number, then: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, then) {
    const timer = setTimeout(then, ms).unref();
    return () => clearTimeout(timer);
  },
};

/**
 * The clock, passed to what waits or measures, so that a test can move it. These have the system's
 * (bench/harness/system-clock.test.ts compares the list with the sources):
 *
 * - db/hosts.ts, server/database/pool.ts, server/database/session.ts, server/database/standby.ts and server/database/turns.ts, whose
 *   times are those of sockets and sessions: the driver's timers and PostgreSQL's would not move with it, and their tests have real
 *   servers that come and go;
 * - server/http/wire.ts, since the limits of a connection are Node.js's own timers, and server/http/whole.ts, which writes Node.js's Date;
 * - server/auth/keys.ts and server/observability/otlp.ts, whose fetch() is given up by AbortSignal.timeout();
 * - server/serve.ts, server/workers.ts and server/observability/worker-metrics.ts, which wait for processes;
 * - server/observability/stdout.ts, which tries a disk that was full again;
 * - server/commands/ and server/cluster/, which are programs of their own, and what they set up with: db/embedded/ and db/patience.ts.
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

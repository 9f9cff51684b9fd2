/** The clock, passed to everything that waits or measures, so that a test can move it. */
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

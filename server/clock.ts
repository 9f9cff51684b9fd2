/** Time, passed in to whatever waits or measures, so that a test can move it. */
export interface Clock {
  /** Milliseconds on a clock that only goes forward: how long something takes. */
  now(): number;
  /** Milliseconds since 1970, on a clock that may be set back: what a token or a log line names. */
  wall(): number;
  /** Calls `then` once, `ms` later, if the process still runs; returns what calls it off. */
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

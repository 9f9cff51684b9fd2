/**
 * A lane: requests for one coupon queue in order of arrival while one batch is in flight; when it returns, the next batch
 * takes all that wait, up to `maxBatch`. No timer: an idle lane sends a request at once. So the busier it is the larger
 * the batches, and a lock, a flush and a round trip are shared by all of them.
 */
import { HungUp, Overloaded } from "../api/failures.ts";
import { type Clock, systemClock } from "../clock.ts";
import { DatabaseError } from "../database/errors.ts";

export interface LaneLimits {
  /** Requests in one call. */
  maxBatch: number;
  /** Requests that wait in all lanes together; one more is refused at once. */
  maxQueue: number;
  /** How long a request may wait for its batch, ms. */
  maxWaitMs: number;
}

/** Calls back when the client hangs up; at any later time it may call back in vain. */
export type HangUp = (listener: () => void) => void;

interface Waiting<Item, Result> {
  item: Item;
  since: number;
  /** In the queue; then in a batch, or gone. */
  waits: boolean;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

type Tell = () => void;

export interface Lanes<Item, Result> {
  /**
   * Rejects with Overloaded or, when the client hung up before its batch was sent, HungUp: nothing was sent; or with the
   * DatabaseError of its batch.
   */
  submit(key: number, item: Item, hangUp?: HangUp): Promise<Result>;
  /** Requests that wait. */
  queued(): number;
  maxQueue: number;
  /** Requests that were rejected with Overloaded so far, by a lane or by `send`. */
  overloaded(): number;
}

const hungUp = () => new HungUp("the client hung up");

/** The driver writes a call at the end of the event loop's turn in which it was made. */
const onceWritten = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));

/**
 * Lanes by key; `send` answers one result for each item, in order. A failed batch that the database took back is sent
 * again in halves, so that an item that can't be done fails alone.
 */
export function createLanes<Item, Result>(
  send: (key: number, items: Item[]) => Promise<readonly Result[]>,
  limits: LaneLimits,
  clock: Clock = systemClock,
): Lanes<Item, Result> {
  type Queue = Waiting<Item, Result>[];
  const lanes = new Map<number, Queue>();
  let queued = 0;
  let overloaded = 0;

  function overload(why: string): Overloaded {
    overloaded += 1;
    return new Overloaded(why);
  }
  const tooLong = () => overload("waited too long for a place in a batch");

  /**
   * The next batch is sent before the answers of the last one are told: so the database is at work while they are written.
   */
  async function run(key: number, queue: Queue): Promise<void> {
    let tell: Tell = () => {};
    while (queue.length > 0) {
      const sent = sendBatch(key, take(queue), 1);
      await onceWritten();
      tell();
      tell = await sent;
      if (queue.length === 0) tell();
    }
    lanes.delete(key);
  }

  /** The first who still wait. */
  function take(queue: Queue): Queue {
    const batch: Queue = [];
    let seen = 0;
    for (; seen < queue.length && batch.length < limits.maxBatch; seen++) {
      const waiting = queue[seen] as Waiting<Item, Result>;
      if (!waiting.waits) continue;
      waiting.waits = false;
      batch.push(waiting);
    }
    queue.splice(0, seen);
    queued -= batch.length;
    return batch;
  }

  function remove(waiting: Waiting<Item, Result>, why: () => Error): void {
    if (!waiting.waits) return;
    waiting.waits = false;
    queued -= 1;
    waiting.reject(why());
  }

  /** Answers with what tells those who wait. */
  async function sendBatch(key: number, batch: Queue, attempt: number): Promise<Tell> {
    if (batch.length === 0) return () => {};
    try {
      const results = await send(
        key,
        batch.map((waiting) => waiting.item),
      );
      if (results.length !== batch.length)
        throw new DatabaseError("defect", "", `${results.length} results for ${batch.length} items`);
      return () => {
        for (const [i, waiting] of batch.entries()) waiting.resolve(results[i] as Result);
      };
    } catch (error) {
      if (error instanceof Overloaded) overloaded += batch.length;
      const undone = error instanceof DatabaseError && ["conflict", "argument"].includes(error.kind);
      if (undone && batch.length > 1) {
        const half = Math.ceil(batch.length / 2);
        (await sendBatch(key, inTime(batch.slice(0, half)), 1))();
        return sendBatch(key, inTime(batch.slice(half)), 1);
      }
      if (undone && error.kind === "conflict" && attempt < 3) return sendBatch(key, batch, attempt + 1);
      return () => {
        for (const waiting of batch) waiting.reject(error);
      };
    }
  }

  /** A batch in halves takes its time: who has waited too long is told so, and nothing was done for it. */
  function inTime(batch: Queue): Queue {
    const oldest = clock.now() - limits.maxWaitMs;
    for (const waiting of batch) if (waiting.since < oldest) waiting.reject(tooLong());
    return batch.filter((waiting) => waiting.since >= oldest);
  }

  /** While anybody waits, looks for those who have waited too long. */
  let watching = false;
  function watch(): void {
    if (watching || queued === 0) return;
    watching = true;
    clock.after(limits.maxWaitMs / 4, expire);
  }

  /** The oldest stand in front. */
  function expire(): void {
    const oldest = clock.now() - limits.maxWaitMs;
    for (const queue of lanes.values()) {
      const fresh = queue.findIndex((waiting) => waiting.since > oldest);
      const late = queue.splice(0, fresh === -1 ? queue.length : fresh);
      for (const waiting of late) remove(waiting, tooLong);
    }
    watching = false;
    watch();
  }

  return {
    submit(key, item, hangUp) {
      if (queued >= limits.maxQueue) return Promise.reject(overload("too many requests wait"));
      return new Promise((resolve, reject) => {
        const waiting = { item, since: clock.now(), waits: true, resolve, reject };
        const queue = lanes.get(key);
        queued += 1;
        watch();
        if (queue) {
          queue.push(waiting);
        } else {
          const started = [waiting];
          lanes.set(key, started);
          void run(key, started);
        }
        if (waiting.waits) hangUp?.(() => remove(waiting, hungUp));
      });
    },
    queued: () => queued,
    maxQueue: limits.maxQueue,
    overloaded: () => overloaded,
  };
}

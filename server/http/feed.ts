/**
 * Server-Sent Events (WHATWG HTML, 9.2) of a state that many clients watch. One query serves all of them, only while somebody watches, and
 * an event is written when the state has changed: the same bytes to all. A slow reader misses states but never the latest one, and costs
 * no memory: nothing is written for it while it has not taken what was written before.
 */
import { stringifyExact } from "../api/exact.ts";
import { type Clock, systemClock } from "../clock.ts";

/** Where events are written: Node's response, whose head was sent. */
export interface Sink {
  write(bytes: Uint8Array): unknown;
  /** Bytes that were written and not yet taken. */
  readonly writableLength: number;
  end(): unknown;
  destroy(): unknown;
  /** "drain": all was taken, of more than is best held; something else may have been written since. */
  on(event: "close" | "drain", then: () => void): unknown;
}

/** A sink that tells when it takes more. */
export interface Output extends Sink {
  write(piece: Uint8Array | string): boolean;
  readonly writableEnded: boolean;
  readonly destroyed: boolean;
  once(event: "close" | "drain", then: () => void): unknown;
}

export interface Feed {
  /** Writes the current state and each later one, until the sink is closed; or calls `show` at once and for each instead. */
  watch(sink: Sink, show?: () => void): void;
  /** The number of open streams. */
  watchers(): number;
  /** Ends all streams. Clients that want to continue connect again, to another server. */
  end(): void;
}

interface FeedSource<T> {
  /** The name of the events. */
  event: string;
  read: () => Promise<T>;
  /** The part of a state that matters: a watcher gets no event while this part is unchanged. */
  gist: (state: T) => unknown;
}

/** From one read to the next. */
const EVERY_MS = 1_000;
/** After this long without news a comment is sent, because proxies end connections that are silent for a minute. A watcher that takes
 * nothing for twice as long is disconnected. */
const HEARTBEAT_MS = 15_000;
/**
 * A stream ends after this long, or up to a third earlier: those who came together shall not come back together. A client that continues
 * must connect with a valid token, where it needs one.
 */
const LIFE_MS = 15 * 60_000;
/** Watchers that are written to before the requests that came meanwhile have their turn: about a millisecond. */
const AT_ONCE = 128;

interface Watcher {
  sink: Sink;
  show: (() => void) | undefined;
  endsAt: number;
  /** Reads that were made before it came. */
  missed: number;
  /** The number of the state that it was sent last; NONE if it must get the next one that is read. */
  told: number;
  /** What it had not taken at the last look, bytes. */
  untaken: number;
  /** When it was known to have taken something, or had taken all. */
  tookAt: number;
}

/** No state has this number. */
const NONE = 0;

const HEARTBEAT = Buffer.from(":\n\n");
/** Sent first: after a lost connection, the client reconnects in a second. */
const RETRY = Buffer.from("retry: 1000\n\n");

/** What it has not taken at this look, bytes. Whoever has taken nothing for too long is left. */
function untakenOf(watcher: Watcher, at: number): number {
  const untaken = watcher.sink.writableLength;
  if (untaken === 0 || untaken < watcher.untaken) watcher.tookAt = at;
  watcher.untaken = untaken;
  if (at - watcher.tookAt > 2 * HEARTBEAT_MS) watcher.sink.destroy();
  return untaken;
}

/**
 * A failed read is reported to `failed`, and the streams continue with the next read. Not once the feed has ended: who ends it closes the
 * database next, maybe between two queries of a read.
 */
export function createFeed<T>(
  { event, read, gist }: FeedSource<T>,
  failed: (error: unknown) => void,
  clock: Clock = systemClock,
): Feed {
  const watchers = new Set<Watcher>();
  /** The state that was read last, and when. */
  let latest: Buffer | undefined;
  let readAt = 0;
  /** Reads so far, and the number of the state: another one when its gist is another. */
  let reads = 0;
  let number = NONE;
  let known: string | undefined;
  /** When all were written something. */
  let wroteAt = 0;
  let isRunning = false;
  let callOff = () => {};
  let isEnded = false;

  async function look(): Promise<void> {
    try {
      const state = await read();
      const found = JSON.stringify(gist(state));
      if (found !== known) number += 1;
      known = found;
      latest = Buffer.from(`event: ${event}\ndata: ${stringifyExact(state)}\n\n`);
      readAt = clock.now();
    } catch (error) {
      latest = undefined;
      if (!isEnded) failed(error);
    }
    reads += 1;
  }

  async function turn(): Promise<void> {
    const began = clock.now();
    const before = number;
    await look();
    const isHeartbeat = number === before && clock.now() - wroteAt >= HEARTBEAT_MS;
    if (isHeartbeat || number !== before) wroteAt = clock.now();
    const next = watchers.values();
    const some = () => {
      for (let i = 0; i < AT_ONCE; i++) {
        const { value: watcher, done } = next.next();
        if (done) return over();
        if (watcher.missed < reads) tell(watcher, isHeartbeat);
      }
      setImmediate(some);
    };
    const over = () => {
      isRunning = watchers.size > 0;
      if (isRunning) callOff = clock.after(Math.max(0, EVERY_MS - (clock.now() - began)), turn);
    };
    some();
  }

  function tell(watcher: Watcher, isHeartbeat: boolean): void {
    const { sink, show, endsAt, told } = watcher;
    const at = clock.now();
    if (untakenOf(watcher, at) > 0) return;
    if (at > endsAt) sink.end();
    else if (latest !== undefined && told !== number) {
      watcher.told = number;
      show ? show() : sink.write(latest);
    } else if (isHeartbeat) sink.write(HEARTBEAT);
  }

  return {
    watch(sink, show) {
      const at = clock.now();
      const isKnown = latest !== undefined && at - readAt < EVERY_MS && show === undefined;
      sink.write(isKnown ? Buffer.concat([RETRY, latest as Buffer]) : RETRY);
      if (isEnded) return void sink.end();
      // What it was sent may be a second old: the next state comes even if nothing has changed, because it contains the time.
      const endsAt = at + LIFE_MS * (1 - Math.random() / 3);
      const watcher = { sink, show, endsAt, missed: reads, told: NONE, untaken: 0, tookAt: at };
      watchers.add(watcher);
      sink.on("close", () => watchers.delete(watcher));
      // Whoever writes more at once leaves nothing to see of it at the next look.
      sink.on("drain", () => {
        watcher.tookAt = clock.now();
      });
      show?.();
      if (isRunning) return;
      isRunning = true;
      void turn();
    },
    watchers: () => watchers.size,
    end() {
      isEnded = true;
      callOff();
      // Whoever has not taken what was written would keep the process waiting.
      for (const { sink } of watchers) sink.writableLength > 0 ? sink.destroy() : sink.end();
      watchers.clear();
    },
  };
}

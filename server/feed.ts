/**
 * Server-Sent Events (WHATWG HTML, 9.2) of a state that many watch. It is read once for all of them, only while somebody
 * watches, and told when it has changed. Who reads slowly misses states, never the latest one, and costs no memory.
 */

export interface Feed {
  /** A stream of events; undefined when too many watch already, or the process ends. */
  watch(): ReadableStream<Uint8Array> | undefined;
  /** Who watches now. */
  watchers(): number;
  /** Ends all streams: whoever wants to go on connects again, to another server. */
  end(): void;
}

export interface FeedSource<T> {
  /** The name of the events. */
  event: string;
  read: () => Promise<T>;
  /** What of a state is worth telling: one that is like the last in this is not told. */
  gist: (state: T) => unknown;
  /** Streams at once. */
  max: number;
}

/** ms. */
export interface FeedTimes {
  /** From one read to the next. */
  every: number;
  /** Without news a comment is sent: proxies end what is silent for a minute. Who doesn't read for twice as long is left. */
  heartbeat: number;
  /** A stream ends after this; whoever goes on watching comes with a token that is still good. */
  life: number;
}

const TIMES: FeedTimes = { every: 1_000, heartbeat: 15_000, life: 15 * 60_000 };

interface Watcher {
  controller: ReadableStreamDefaultController<Uint8Array>;
  since: number;
  /** When it was sent something last, and which state. */
  sentAt: number;
  told: Uint8Array | undefined;
}

const encode = (text: string) => new TextEncoder().encode(text);
const HEARTBEAT = encode(":\n\n");
/** First of all: after a lost connection come back in a second. */
const RETRY = encode("retry: 1000\n\n");

/** A read that fails is told to `failed`, and the streams go on with the next one. */
export function createFeed<T>(
  { event, read, gist, max }: FeedSource<T>,
  failed: (error: unknown) => void,
  times: FeedTimes = TIMES,
): Feed {
  const watchers = new Set<Watcher>();
  let latest: Uint8Array | undefined;
  let known: string | undefined;
  let running = false;
  let ended = false;

  async function turn(): Promise<void> {
    const began = performance.now();
    try {
      const state = await read();
      const seen = JSON.stringify(gist(state));
      if (seen !== known) latest = encode(`event: ${event}\ndata: ${JSON.stringify(state)}\n\n`);
      known = seen;
    } catch (error) {
      failed(error);
    }
    for (const watcher of watchers) tell(watcher);
    if (watchers.size > 0) {
      setTimeout(turn, Math.max(0, times.every - (performance.now() - began)));
      return;
    }
    running = false;
    latest = known = undefined;
  }

  function tell(watcher: Watcher): void {
    const at = performance.now();
    const silent = at - watcher.sentAt;
    const isReading = (watcher.controller.desiredSize ?? 0) > 0;
    if (at - watcher.since > times.life || (!isReading && silent > 2 * times.heartbeat)) leave(watcher);
    if (!isReading || !watchers.has(watcher)) return;
    const news = watcher.told === latest ? undefined : latest;
    if (news === undefined && silent < times.heartbeat) return;
    // Before it is sent: whoever waits for it takes it, and asks for more, within enqueue().
    watcher.sentAt = at;
    watcher.told = latest;
    watcher.controller.enqueue(news ?? HEARTBEAT);
  }

  function leave(watcher: Watcher): void {
    watchers.delete(watcher);
    watcher.controller.close();
  }

  return {
    watch() {
      if (ended || watchers.size >= max) return undefined;
      let watcher: Watcher;
      return new ReadableStream<Uint8Array>({
        start(controller) {
          const at = performance.now();
          watcher = { controller, since: at, sentAt: at, told: undefined };
          controller.enqueue(RETRY);
          watchers.add(watcher);
          if (running) return;
          running = true;
          void turn();
        },
        // It was read: what is new meanwhile can be sent.
        pull: () => tell(watcher),
        cancel: () => void watchers.delete(watcher),
      });
    },
    watchers: () => watchers.size,
    end() {
      ended = true;
      for (const watcher of watchers) leave(watcher);
    },
  };
}

/**
 * Server-Sent Events (WHATWG HTML, 9.2) of a state that many watch. It is read once for all of them, only while somebody
 * watches, and told when it has changed. Who reads slowly misses states, never the latest one, and costs no memory.
 */
import { type Clock, systemClock } from "../clock.ts";
import { createShared } from "./shared.ts";

export interface Feed {
  /** A stream of events: first the state as it is now. */
  watch(): ReadableStream<Uint8Array>;
  /** Who watches now. */
  watchers(): number;
  /** Ends all streams: whoever wants to go on connects again, to another server. */
  end(): void;
}

export interface FeedSource<T> {
  /** The name of the events. */
  event: string;
  read: () => Promise<T>;
  /** What of a state is worth telling: who was told one that is like it in this is not told. */
  gist: (state: T) => unknown;
}

/** From one read to the next. */
const EVERY_MS = 1_000;
/** Without news a comment is sent: proxies end what is silent for a minute. A watcher that reads nothing for twice as long is left. */
const HEARTBEAT_MS = 15_000;
/** A stream ends after this; whoever goes on watching comes with a token that is still good. */
const LIFE_MS = 15 * 60_000;

interface Watcher {
  controller: ReadableStreamDefaultController<Uint8Array>;
  since: number;
  /** Reads that had begun when it came: a state tells what time it is, so those are too old for it. */
  missed: number;
  /** When it was sent something last, and the gist that it was told. */
  sentAt: number;
  told: string | undefined;
}

/** A state as it was read. */
interface Read {
  /** 1, 2, 3 …, by when it began. */
  number: number;
  gist: string;
  event: Uint8Array;
}

const encode = (text: string) => new TextEncoder().encode(text);
const HEARTBEAT = encode(":\n\n");
/** First of all: after a lost connection come back in a second. */
const RETRY = encode("retry: 1000\n\n");

/** A read that fails is told to `failed`, and the streams go on with the next one. */
export function createFeed<T>(
  { event, read, gist }: FeedSource<T>,
  failed: (error: unknown) => void,
  clock: Clock = systemClock,
): Feed {
  const watchers = new Set<Watcher>();
  let latest: Read | undefined;
  let reads = 0;
  let running = false;
  let callOff = () => {};
  let ended = false;

  const look = createShared(async () => {
    reads += 1;
    const number = reads;
    try {
      const state = await read();
      const data = JSON.stringify(state);
      latest = {
        number,
        gist: JSON.stringify(gist(state)),
        event: encode(`event: ${event}\ndata: ${data}\n\n`),
      };
    } catch (error) {
      failed(error);
    }
  });

  async function turn(): Promise<void> {
    const began = clock.now();
    await look();
    for (const watcher of watchers) tell(watcher);
    running = watchers.size > 0;
    if (running) callOff = clock.after(Math.max(0, EVERY_MS - (clock.now() - began)), turn);
  }

  function tell(watcher: Watcher): void {
    if (!watchers.has(watcher)) return;
    const at = clock.now();
    const silent = at - watcher.sentAt;
    const isReading = (watcher.controller.desiredSize ?? 0) > 0;
    if (at - watcher.since > LIFE_MS || (!isReading && silent > 2 * HEARTBEAT_MS)) {
      leave(watcher);
      return;
    }
    if (!isReading) return;
    const news =
      latest && latest.number > watcher.missed && latest.gist !== watcher.told ? latest : undefined;
    if (news === undefined && silent < HEARTBEAT_MS) return;
    // Before it is sent: whoever waits for it takes it, and asks for more, within enqueue().
    watcher.sentAt = at;
    if (news) watcher.told = news.gist;
    watcher.controller.enqueue(news?.event ?? HEARTBEAT);
  }

  function leave(watcher: Watcher): void {
    watchers.delete(watcher);
    watcher.controller.close();
  }

  return {
    watch() {
      let watcher: Watcher;
      return new ReadableStream<Uint8Array>({
        start(controller) {
          const at = clock.now();
          watcher = { controller, since: at, missed: reads, sentAt: at, told: undefined };
          controller.enqueue(RETRY);
          watchers.add(watcher);
          if (ended) leave(watcher);
          else if (running) void look().then(() => tell(watcher));
          else {
            running = true;
            void turn();
          }
        },
        // It was read: what is new meanwhile can be sent.
        pull: () => tell(watcher),
        cancel: () => void watchers.delete(watcher),
      });
    },
    watchers: () => watchers.size,
    end() {
      ended = true;
      callOff();
      for (const watcher of watchers) leave(watcher);
    },
  };
}

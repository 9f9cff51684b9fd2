/**
 * Server-Sent Events (WHATWG HTML, 9.2) of a state that many clients watch. One query serves all of them, only while somebody watches, and
 * an event is sent when the state has changed. A slow reader misses states but never the latest one, and costs no memory.
 */
import { stringifyExact } from "../api/exact.ts";
import { type Clock, systemClock } from "../clock.ts";
import { createShared } from "./shared.ts";

export interface Feed {
  /** Opens a stream of events; the first one is the current state. */
  watch(): ReadableStream<Uint8Array>;
  /** The number of open streams. */
  watchers(): number;
  /** Ends all streams. Clients that want to continue connect again, to another server. */
  end(): void;
}

export interface FeedSource<T> {
  /** The name of the events. */
  event: string;
  read: () => Promise<T>;
  /** The part of a state that matters: a watcher gets no event while this part is unchanged. */
  gist: (state: T) => unknown;
}

/** From one read to the next. */
const EVERY_MS = 1_000;
/** After this long without news a comment is sent, because proxies end connections that are silent for a minute. A watcher that reads
 * nothing for twice as long is disconnected. */
const HEARTBEAT_MS = 15_000;
/** A stream ends after this long. A client that continues must connect with a valid token. */
const LIFE_MS = 15 * 60_000;

interface Watcher {
  controller: ReadableStreamDefaultController<Uint8Array>;
  since: number;
  /** Reads that began before it came are too old for it, because a state contains the time. */
  missed: number;
  /** The time and the gist of the last event that it was sent. */
  sentAt: number;
  told: string | undefined;
}

/** A state as it was read. */
interface Read {
  /** 1, 2, 3 …, in the order in which the reads began. */
  number: number;
  gist: string;
  event: Uint8Array;
}

const encode = (text: string) => new TextEncoder().encode(text);
const HEARTBEAT = encode(":\n\n");
/** Sent first: after a lost connection, the client reconnects in a second. */
const RETRY = encode("retry: 1000\n\n");

/** A failed read is reported to `failed`, and the streams continue with the next read. */
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
      const data = stringifyExact(state);
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
    // Before enqueue(), because a waiting reader takes the event and asks for more within enqueue().
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
        // The reader took the last event: a newer state can be sent.
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

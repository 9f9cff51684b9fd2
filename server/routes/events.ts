/** What happened: pages, and a stream that goes on from any event. */
import { afterEvent, type EventOfDatabase, toCloudEvent } from "../api/events.ts";
import { stringifyExact } from "../api/exact.ts";
import type { Clock } from "../clock.ts";
import type { Db } from "../database/functions.ts";
import { createFeed, type Output } from "../http/feed.ts";
import { createPlaces } from "../http/places.ts";
import { header, parsed } from "../http/request.ts";
import type { Log } from "../observability/log.ts";
import type { Operations } from "./operation.ts";

interface Parts {
  clock: Clock;
  db: Pick<Db, "events">;
  log: Pick<Log, "failure">;
}

/** Streams of events of a process. */
const MAX_STREAMS = 50;
/** Events that a stream reads and writes at once: a reader that stands still holds so many. */
const AT_ONCE = 500;

/** Adds the operations; returns the feed that tells their streams that something has happened. */
export function addEvents({ read, stream }: Operations, { clock, db, log }: Parts) {
  // One question a second for all streams of the process. Each then reads on from where it is.
  const feed = createFeed(
    {
      event: "events",
      read: async () => (await db.events("latest", 1))[0]?.event_id ?? null,
      gist: (state) => state,
    },
    log.failure,
    clock,
  );

  read("listEvents", async ({ query: { after = null, page_size } }) => {
    const rows = await db.events(after, page_size);
    return { events: rows.map(toCloudEvent), next_after: behind(after, rows) };
  });

  stream("watchEvents", feed, createPlaces("streams", MAX_STREAMS), async ({ c, query }) => {
    const last = header(c, "last-event-id");
    const { after = null } = last ? (parsed(afterEvent, { after: last }) as typeof query) : query;
    await db.events(after, 1); // refuses an id that it does not know
    return (outgoing) => reader(outgoing, after);
  });

  /** Writes all events after the one that this stream has come to, each time that something has happened. */
  function reader(outgoing: Output, after: string | null): () => void {
    let isReading = false;
    let isTold = false;
    let place = after;
    /** Ends the wait for the reader. */
    let goOn = () => {};
    outgoing.once("close", () => goOn());

    const isOver = () => outgoing.writableEnded || outgoing.destroyed;

    async function readOn(): Promise<void> {
      const rows = await db.events(place, AT_ONCE);
      place = behind(place, rows);
      if (rows.length === 0 || isOver()) return;
      isTold = true; // there may be more
      const taken = outgoing.write(rows.map(toBlock).join(""));
      if (!taken)
        await new Promise<void>((resolve) => {
          goOn = resolve;
          outgoing.once("drain", resolve);
        });
    }

    async function run(): Promise<void> {
      isReading = true;
      try {
        while (isTold && !isOver()) {
          isTold = false;
          await readOn();
        }
      } catch (error) {
        if (!isOver()) log.failure(error);
        outgoing.end(); // whoever connects again goes on from the last event
      }
      isReading = false;
    }

    return () => {
      isTold = true;
      if (!isReading) void run();
    };
  }

  return feed;
}

/** Where to go on after a page. Where nothing had happened yet, the newest event is the first one. */
function behind(after: string | null, rows: readonly EventOfDatabase[]): string | null {
  return rows.at(-1)?.event_id ?? (after === "latest" ? null : after);
}

function toBlock(row: EventOfDatabase): string {
  return `id: ${row.event_id}\ndata: ${stringifyExact(toCloudEvent(row))}\n\n`;
}

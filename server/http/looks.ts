/**
 * What many ask for, read from the database at most once a second: whoever asks first reads it, and whoever asks meanwhile or in the
 * second afterwards gets the same bytes. A target has a place for as long; the number of places and of bytes is bounded, and so is what
 * anybody can make the server read or hold by asking for many targets.
 */
import type { Clock } from "../clock.ts";
import { etagOf } from "./etag.ts";
import { asProblem } from "./problem.ts";

export interface Look {
  /** The template of its route. */
  route: string;
  /** JSON: a text, since Node sends it and its head in one write. */
  body: string;
  bytes: number;
  /** Of all of it, server_time too: a cache that is told that nothing changed would go on telling the time of long ago. */
  etag: string;
  /** When the database had answered, on the clock's now(). */
  at: number;
}

interface Place {
  found: Promise<Look>;
  /** The same, once it is there. */
  look: Look | undefined;
  /** The end of its second, on the clock's now(); infinite while it is read. */
  until: number;
}

export type Looks = ReturnType<typeof createLooks>;

/** How long a look is told, ms. */
const LASTS_MS = 1_000;
const LIMITS = { places: 100, bytes: 16 * 1024 * 1024 };

/** For caches: a second after we sent it, and one more while they ask for the next. */
const FOR_ALL = `public, max-age=${LASTS_MS / 1_000}, stale-while-revalidate=1`;
const FOR_ONE = "private, no-cache";

interface Options {
  clock: Pick<Clock, "now">;
  /** Whether no token is needed. */
  isPublic: boolean;
  limits?: typeof LIMITS;
}

export function createLooks({ clock, isPublic, limits: { places, bytes } = LIMITS }: Options) {
  const taken = new Map<string, Place>();
  let size = 0;

  /** Whether there is room for one more, once those whose second is over have gone. */
  function hasRoom(): boolean {
    if (taken.size < places && size < bytes) return true;
    const now = clock.now();
    for (const [target, place] of taken) if (now >= place.until) leave(target, place);
    return taken.size < places && size < bytes;
  }

  function leave(target: string, { look }: Place): void {
    taken.delete(target);
    size -= look?.bytes ?? 0;
  }

  /** What is final, such as a coupon that does not exist, lasts as a look does; after a failure the next one reads again. */
  async function fill(place: Place, route: string, read: () => Promise<string>): Promise<Look> {
    let lasts = 0;
    try {
      place.look = lookOf(route, await read());
      size += place.look.bytes;
      lasts = LASTS_MS;
      return place.look;
    } catch (error) {
      if (asProblem(error).status < 500) lasts = LASTS_MS;
      throw error;
    } finally {
      place.until = clock.now() + lasts;
    }
  }

  function lookOf(route: string, body: string): Look {
    return { route, body, bytes: Buffer.byteLength(body), etag: etagOf(body), at: clock.now() };
  }

  return {
    isPublic,
    lookOf,
    /** The headers of its answer. */
    headersOf: ({ etag, at }: Look): Record<string, string> => ({
      etag,
      "cache-control": isPublic ? FOR_ALL : FOR_ONE,
      // Rounded down, so that nobody counts further than the database's clock.
      "x-age-ms": String(Math.floor(clock.now() - at)),
    }),
    /** The look at this target, if it is known and its second not over. */
    fresh(target: string): Look | undefined {
      const place = taken.get(target);
      return place !== undefined && clock.now() < place.until ? place.look : undefined;
    },
    /** The same, or `read` if it must be; undefined if there is no room for one more. There always is for what `mustBeSeen`. */
    find(
      target: string,
      route: string,
      read: () => Promise<string>,
      mustBeSeen: boolean,
    ): Promise<Look> | undefined {
      const known = taken.get(target);
      if (known !== undefined && clock.now() < known.until) return known.found;
      if (known !== undefined) leave(target, known);
      if (!mustBeSeen && !hasRoom()) return undefined;
      const place = { look: undefined, until: Number.POSITIVE_INFINITY } as Omit<Place, "found"> as Place;
      place.found = fill(place, route, read);
      taken.set(target, place);
      return place.found;
    },
  };
}

/**
 * Limits the requests of each user by a token bucket (as in RFC 9331, in requests instead of bits), in a table of fixed size, so that
 * nobody can make it grow. If a set of the table is full, the fullest bucket is forgotten: its user sent the least and loses the
 * least, and users who send much stay known.
 *
 * Ours, because the limiters for Hono (hono-rate-limiter) are middleware, and the fast path goes through none.
 */

import { type Clock, systemClock } from "../clock.ts";

export interface RateLimit {
  /** Counts one request of this user. */
  take(userId: number): Verdict;
  /** What take() would answer, without counting. */
  look(userId: number): Verdict;
  /** Counts one that has happened, beyond the limit too: then the user waits for each of them. */
  charge(userId: number): void;
}

export interface Verdict {
  allowed: boolean;
  /** Requests that may follow at once. */
  remaining: number;
  /** Seconds until there is one again; 0 while there is. */
  resetIn: number;
}

/** The header "ratelimit" (draft-ietf-httpapi-ratelimit-headers-10); none if there is no limit. */
export function rateLimitHeader({ remaining, resetIn }: Verdict): string | undefined {
  if (!Number.isFinite(remaining)) return undefined;
  return `"user";r=${remaining};t=${Math.ceil(resetIn)}`;
}

/** An empty bucket takes RATE_LIMIT requests at once, and so many again in this many seconds. */
export const WINDOW_S = 10;

/** The table has SETS * WAYS users, 24 bytes each. */
const SETS = 16_384;
const WAYS = 4;

const FREE: Verdict = { allowed: true, remaining: Number.POSITIVE_INFINITY, resetIn: 0 };

/** `limit` requests in WINDOW_S seconds; 0: no limit. */
export function createRateLimit(limit: number, clock: Pick<Clock, "now"> = systemClock): RateLimit {
  if (limit === 0) return { take: () => FREE, look: () => FREE, charge: () => {} };
  const perMs = limit / (WINDOW_S * 1000);
  const users = new Float64Array(SETS * WAYS);
  // A place that nobody has is full: else it would seem emptier than a bucket in use while the clock is young.
  const level = new Float64Array(SETS * WAYS).fill(limit);
  const since = new Float64Array(SETS * WAYS);

  /** The current number of requests in the bucket at this place. */
  const filled = (place: number, at: number) =>
    Math.min(limit, (level[place] as number) + (at - (since[place] as number)) * perMs);

  /** The user's own place, or the one whose user it would take. */
  function placeOf(userId: number, at: number): number {
    const first = setOf(userId) * WAYS;
    let place = first;
    for (let way = first; way < first + WAYS; way++) {
      if (users[way] === userId) return way;
      if (filled(way, at) > filled(place, at)) place = way;
    }
    return place;
  }

  /** What is left to this user; below 0 it is owed. */
  function leftOf(userId: number, place: number, at: number): number {
    return users[place] === userId ? filled(place, at) : limit;
  }

  function keep(userId: number, place: number, at: number, left: number): void {
    users[place] = userId;
    level[place] = left;
    since[place] = at;
  }

  const verdict = (allowed: boolean, left: number): Verdict => ({
    allowed,
    remaining: Math.max(0, Math.floor(left)),
    resetIn: left >= 1 ? 0 : (1 - left) / perMs / 1000,
  });

  return {
    take(userId) {
      const at = clock.now();
      const place = placeOf(userId, at);
      const before = leftOf(userId, place, at);
      const allowed = before >= 1;
      const left = allowed ? before - 1 : before;
      keep(userId, place, at, left);
      return verdict(allowed, left);
    },
    look(userId) {
      const at = clock.now();
      const left = leftOf(userId, placeOf(userId, at), at);
      return verdict(left >= 1, left);
    },
    charge(userId) {
      const at = clock.now();
      const place = placeOf(userId, at);
      keep(userId, place, at, leftOf(userId, place, at) - 1);
    },
  };
}

/** Fibonacci hashing (Knuth, TAOCP 6.4) spreads neighbouring ids; both 32-bit halves of an id count. */
function setOf(userId: number): number {
  const folded = (userId ^ (userId / 4_294_967_296)) >>> 0;
  return Math.imul(folded, 2_654_435_769) >>> (32 - Math.log2(SETS));
}

/**
 * A lease allows this process to repeat a refusal without a query. The database says what is refused, how long that stays true (a
 * second at most, never beyond start_time), and which users hold the coupon and must not be refused. Until then it delays every
 * change that would end the refusal. Nothing else is cached: a grant is always the database's answer.
 *
 * Leases have places, which go to the coupons that are refused most often. So nobody takes the lease of a drop away by asking for
 * other coupons, whatever these are. One question is asked for all coupons that are due, so many coupons cost the database little more
 * than one.
 */
import type { CommonRefusal } from "../api/outcomes.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { Issue, Known, Lease, LeaseQuestion } from "../database/commands.ts";

export interface Leases {
  /** The refusal for this user, if a valid lease has it. */
  refusal(couponId: number, userId: number): Issue | undefined;
  /** The database has refused so many requests for this coupon. Asks for a lease if the coupon has a place or gets one. */
  refused(couponId: number, requests: number): void;
  /** Forgets all leases and holders, those on their way too: another database may answer next, which has forgotten grants. */
  drop(): void;
  /** Refusals served from leases. */
  hits(): number;
  /** Coupons with a valid lease. */
  held(): number;
  /** Those that are sold out by a valid lease, and since when. */
  soldOut(): { couponId: number; soldOutAt: string }[];
}

export interface LeaseLimits {
  /** Coupons that can have a lease at the same time; coupon_leases() answers 1,000. */
  places: number;
  /** Holders of all of them, at about 40 bytes; each may have 100,000. */
  holders: number;
}

const LIMITS: LeaseLimits = { places: 1_000, holders: 1_600_000 };
/** From one question to the next one, ms: meanwhile coupons become due that are asked for together. */
const GAP_MS = 20;
/** From one question for a place to its next one, ms, whichever coupons have it: half a lease, so that nobody waits when one ends. */
const ASK_EVERY_MS = 500;
/** The span in which refusals are counted, ms. */
const COUNT_MS = 1_000;
/** Holders that are loaded for coupons without a place, on average. Reading 100,000 costs the database and this process 0.1 s. */
const HOLDERS_PER_MS = 100;

interface Place {
  couponId: number;
  /** In ms of the clock's now(). */
  askAt: number;
  isAsking: boolean;
  lease: Held | undefined;
  /** Refusals from leases that demand does not count yet. */
  hits: number;
}

interface Held {
  refusal: CommonRefusal;
  until: number;
  startsAt: number | null;
  soldOutAt: string | null;
  timeToSellOut: number | null;
  known: Known;
  holders: Set<number>;
}

/** What is known before the first lease. */
const NOTHING: Known = { position: 0, issuedAt: null };

export function createLeases(
  ask: (questions: readonly LeaseQuestion[], onlyLeased: boolean) => Promise<readonly Lease[]>,
  clock: Clock = systemClock,
  limits: Partial<LeaseLimits> = {},
): Leases {
  const most = { ...LIMITS, ...limits };
  const places = new Map<number, Place>();
  const demand = createDemand(clock);
  let hits = 0;
  let epoch = 0; // counts drops
  let roomAt = 0; // when the next coupon may get a place

  function renew(place: Place): void {
    demand.add(place.couponId, place.hits);
    place.hits = 0;
    place.isAsking = true;
    const at = clock.now();
    place.askAt = at + ASK_EVERY_MS;
    (isLeasedAt(at)(place) ? askAgain : askFirst)(place);
  }

  // A first lease is written, and so waits for the disk and for standbys. Those that go on wait for nothing.
  const askAgain = createQuestions((asked) => take(asked, true), clock);
  const askFirst = createQuestions((asked) => take(asked, false), clock);

  async function take(asked: readonly Place[], onlyLeased: boolean): Promise<void> {
    // Measured before the question is sent, so that the leases end here before they end in the database.
    const sentAt = clock.now();
    const before = epoch;
    const leases = await ask(
      asked.map(({ couponId, lease }) => ({ couponId, known: lease?.known ?? NOTHING })),
      onlyLeased,
    );
    if (before !== epoch) return;
    for (const [i, place] of asked.entries()) {
      const lease = leases[i];
      // After a no, what was leased before stays true until it runs out.
      if (lease?.outcome !== "leased") continue;
      roomAt = Math.max(roomAt, sentAt) + lease.holders.length / HOLDERS_PER_MS;
      place.lease = heldFrom(lease, place.lease, sentAt);
    }
  }

  /** Gives the coupon a place that is free, or that of the coupon which is refused the least and less often than this one. */
  function placeFor(couponId: number, at: number): Place | undefined {
    if (at < roomAt) return undefined;
    while (isFull(places, most)) {
      const least = leastRefused(places.values(), demand, at);
      if (least === undefined || least.refusals >= demand.of(couponId)) return undefined;
      places.delete(least.couponId);
    }
    const place: Place = { couponId, askAt: at, isAsking: false, lease: undefined, hits: 0 };
    places.set(couponId, place);
    return place;
  }

  return {
    refusal(couponId, userId) {
      const place = places.get(couponId);
      const lease = place?.lease;
      if (place === undefined || lease === undefined) return undefined;
      const at = clock.now();
      if (at >= lease.until || lease.holders.has(userId)) return undefined;
      place.hits += 1;
      if (at >= place.askAt && !place.isAsking) renew(place);
      hits += 1;
      return {
        outcome: lease.refusal,
        user_id: userId,
        position: null,
        issued_on: null,
        issued_at: null,
        starts_in: lease.startsAt === null ? null : Math.round((lease.startsAt - at) * 1000) / 1e6,
        sold_out_at: lease.soldOutAt,
        time_to_sell_out: lease.timeToSellOut,
      };
    },
    refused(couponId, requests) {
      demand.add(couponId, requests);
      const at = clock.now();
      const place = places.get(couponId) ?? placeFor(couponId, at);
      if (place && at >= place.askAt && !place.isAsking) renew(place);
    },
    drop() {
      epoch += 1;
      const at = clock.now();
      for (const place of places.values()) {
        place.lease = undefined;
        place.askAt = at;
      }
    },
    hits: () => hits,
    held: () => [...places.values()].filter(isLeasedAt(clock.now())).length,
    soldOut: () => soldOutBy([...places.values()].filter(isLeasedAt(clock.now()))),
  };
}

function isLeasedAt(at: number) {
  return ({ lease }: Place): boolean => lease !== undefined && at < lease.until;
}

function soldOutBy(places: readonly Place[]): { couponId: number; soldOutAt: string }[] {
  return places.flatMap(({ couponId, lease }) =>
    lease?.soldOutAt ? [{ couponId, soldOutAt: lease.soldOutAt }] : [],
  );
}

function isFull(places: ReadonlyMap<number, Place>, most: LeaseLimits): boolean {
  const holders = () => [...places.values()].reduce((sum, { lease }) => sum + (lease?.holders.size ?? 0), 0);
  return places.size >= most.places || holders() >= most.holders;
}

function heldFrom(
  lease: Extract<Lease, { outcome: "leased" }>,
  before: Held | undefined,
  sentAt: number,
): Held {
  const holders = (lease.holders_after > 0 ? before?.holders : undefined) ?? new Set();
  for (const userId of lease.holders) holders.add(userId);
  return {
    refusal: lease.refusal,
    until: sentAt + lease.valid_for * 1000,
    startsAt: lease.starts_in === null ? null : sentAt + lease.starts_in * 1000,
    soldOutAt: lease.sold_out_at,
    timeToSellOut: lease.time_to_sell_out,
    known: { position: lease.issued, issuedAt: lease.last_issued_at },
    holders,
  };
}

/** Asks for places: one question at a time, for all that are due when it is sent. */
function createQuestions(take: (places: readonly Place[]) => Promise<void>, clock: Clock) {
  const due = new Set<Place>();
  let isAsking = false;

  async function ask(): Promise<void> {
    isAsking = true;
    while (due.size > 0) {
      const asked = [...due];
      due.clear();
      const gap = new Promise<void>((resolve) => clock.after(GAP_MS, resolve));
      // Ignored: without a lease every request asks the database, and gets its error.
      await take(asked).catch(() => {});
      for (const place of asked) place.isAsking = false;
      await gap;
    }
    isAsking = false;
  }

  return (place: Place): void => {
    due.add(place);
    if (!isAsking) void ask();
  };
}

/** Of the places that may ask again, the one that is refused the least. If its lease has run out, it counts as not refused. */
function leastRefused(places: Iterable<Place>, demand: Demand, at: number) {
  let least: { couponId: number; refusals: number } | undefined;
  for (const { couponId, askAt, isAsking, lease, hits } of places) {
    if (isAsking || at < askAt) continue;
    const refusals = lease !== undefined && at < lease.until ? demand.of(couponId) + hits : 0;
    if (least === undefined || refusals < least.refusals) least = { couponId, refusals };
  }
  return least;
}

type Demand = ReturnType<typeof createDemand>;

/** How often each coupon was refused in this span and the one before. */
function createDemand(clock: Clock) {
  let current = new Map<number, number>();
  let before = new Map<number, number>();
  let began = clock.now();
  return {
    add(couponId: number, requests: number): void {
      const passed = clock.now() - began;
      if (passed >= COUNT_MS) {
        before = passed < 2 * COUNT_MS ? current : new Map();
        current = new Map();
        began += passed;
      }
      current.set(couponId, (current.get(couponId) ?? 0) + requests);
    },
    of: (couponId: number): number => (current.get(couponId) ?? 0) + (before.get(couponId) ?? 0),
  };
}

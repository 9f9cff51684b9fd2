/**
 * Leases: refusals that the database lets this process repeat without asking. The database says what is refused, for how
 * long that stays so (a second at most, never beyond start_time) and who holds the coupon nevertheless; it lets nobody change
 * the coupon meanwhile. Nothing else is kept: a grant is always the database's answer.
 */
import type { CommonRefusal } from "../api/outcomes.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { Issue, Lease } from "../database/functions.ts";

export interface Leases {
  /** The refusal of this user, when it can be told without asking. */
  refusal(couponId: number, userId: number): Issue | undefined;
  /** Asks for a lease, unless it is being asked for. Called when the database has refused somebody. */
  renew(couponId: number): void;
  /** Refusals told so far without asking. */
  hits(): number;
  /** Coupons whose refusal can be told now. */
  held(): number;
}

interface Held {
  refusal: CommonRefusal;
  /** On the clock's now(), ms. From renewAt on the next lease is asked for, so that nobody waits when this one ends. */
  renewAt: number;
  until: number;
  startsAt: number | null;
  /** Everybody up to this position is among the holders. */
  issued: number;
  holders: Set<number>;
}

/** Coupons with a lease at once: three a day are on offer, and each may have 100,000 holders. */
const MAX_LEASES = 16;
/** After "not leased", ms. */
const ASK_AGAIN_MS = 100;

export function createLeases(
  ask: (couponId: number, knownPosition: number) => Promise<Lease>,
  clock: Clock = systemClock,
): Leases {
  const leases = new Map<number, Held>();
  const asking = new Set<number>();
  let hits = 0;

  function renew(couponId: number): void {
    if (asking.has(couponId)) return;
    asking.add(couponId);
    take(couponId)
      // The database's failure is told to those who wait for it; without a lease everybody does.
      .catch(() => {})
      .finally(() => asking.delete(couponId));
  }

  async function take(couponId: number): Promise<void> {
    const known = leases.get(couponId);
    // Counted from before the question: the database's second began later.
    const sentAt = clock.now();
    const lease = await ask(couponId, known?.issued ?? 0);
    if (lease.outcome !== "leased") {
      leases.delete(couponId);
      await new Promise<void>((resolve) => void clock.after(ASK_AGAIN_MS, resolve));
      return;
    }
    const holders = known?.holders ?? new Set();
    for (const userId of lease.holders) holders.add(userId);
    if (!known && !makeRoom(sentAt)) return;
    leases.set(couponId, {
      refusal: lease.refusal,
      renewAt: sentAt + lease.valid_for * 500,
      until: sentAt + lease.valid_for * 1000,
      startsAt: lease.starts_in === null ? null : sentAt + lease.starts_in * 1000,
      issued: lease.issued,
      holders,
    });
  }

  function makeRoom(at: number): boolean {
    if (leases.size < MAX_LEASES) return true;
    for (const [couponId, { until }] of leases) if (until < at) return leases.delete(couponId);
    return false;
  }

  return {
    refusal(couponId, userId) {
      const lease = leases.get(couponId);
      if (lease === undefined) return undefined;
      const at = clock.now();
      if (at >= lease.until || lease.holders.has(userId)) return undefined;
      if (at >= lease.renewAt) renew(couponId);
      hits += 1;
      return {
        outcome: lease.refusal,
        user_id: userId,
        position: null,
        issued_on: null,
        issued_at: null,
        starts_in: lease.startsAt === null ? null : Math.round((lease.startsAt - at) * 1000) / 1e6,
      };
    },
    renew,
    hits: () => hits,
    held() {
      const at = clock.now();
      return [...leases.values()].filter(({ until }) => until > at).length;
    },
  };
}

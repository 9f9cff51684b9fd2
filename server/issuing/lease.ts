/**
 * A lease allows this process to repeat a refusal without a query. The database says what is refused, how long that stays true (a
 * second at most, never beyond start_time), and which users hold the coupon and must not be refused. Until then it delays every
 * change that would end the refusal. Nothing else is cached: a grant is always the database's answer.
 */
import type { CommonRefusal } from "../api/outcomes.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { Issue, Lease } from "../database/functions.ts";

export interface Leases {
  /** The refusal for this user, if a valid lease has it. */
  refusal(couponId: number, userId: number): Issue | undefined;
  /** Asks for a lease, unless a question is under way. Called when the database has refused somebody. */
  renew(couponId: number): void;
  /** Forgets all leases and holders, those on their way too: another database may answer next, which has forgotten grants. */
  drop(): void;
  /** Refusals served from leases. */
  hits(): number;
  /** Coupons with a valid lease. */
  held(): number;
}

interface Held {
  refusal: CommonRefusal;
  /** In ms of the clock's now(). From renewAt on the next lease is requested, so that nobody waits when this one ends. */
  renewAt: number;
  until: number;
  startsAt: number | null;
  /** The holders up to this position are known. */
  issued: number;
  holders: Set<number>;
}

/** Coupons that can have a lease at the same time: a day has three, and each may have 100,000 holders. */
const MAX_LEASES = 16;
/** Pause after the answer "not leased", ms. */
const ASK_AGAIN_MS = 100;

export function createLeases(
  ask: (couponId: number, knownPosition: number) => Promise<Lease>,
  clock: Clock = systemClock,
): Leases {
  const leases = new Map<number, Held>();
  const asking = new Set<number>();
  let hits = 0;
  /** Counts drops. */
  let epoch = 0;

  function renew(couponId: number): void {
    if (asking.has(couponId)) return;
    asking.add(couponId);
    take(couponId)
      // Ignored: without a lease every request asks the database, and gets its error.
      .catch(() => {})
      .finally(() => asking.delete(couponId));
  }

  async function take(couponId: number): Promise<void> {
    const known = leases.get(couponId);
    // Measured before the question is sent, so that the lease ends here before it ends in the database.
    const sentAt = clock.now();
    const asked = epoch;
    const lease = await ask(couponId, known?.issued ?? 0);
    if (asked !== epoch) return;
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
    drop() {
      epoch += 1;
      leases.clear();
    },
    hits: () => hits,
    held() {
      const at = clock.now();
      return [...leases.values()].filter(({ until }) => until > at).length;
    },
  };
}

/** What many watch at once: read once for all of them. */
import { contract } from "../api/contract.ts";
import { COUPONS_OF_PAGE } from "../api/requests.ts";
import type { Clock } from "../clock.ts";
import type { Db } from "../database/functions.ts";
import { createFeed } from "../http/feed.ts";
import type { Issuing } from "../issuing/issuing.ts";
import type { Log } from "../observability/log.ts";

interface Parts {
  clock: Clock;
  db: Db;
  issuing: Pick<Issuing, "outcomes">;
  log: Pick<Log, "failure">;
}

/** Coupons that a page counts down to. */
const UPCOMING = 10;

export type States = ReturnType<typeof createStates>;

export function createStates({ clock, db, issuing, log }: Parts) {
  const readStatus = async (from: Pick<Db, "couponStatus"> = db) => ({
    ...(await from.couponStatus()),
    outcomes: issuing.outcomes,
  });
  return {
    coupons: createFeed(
      {
        event: contract.watchCoupons.event,
        read: async () => {
          // In this order, what starts in between is in both lists. In the other one, or at once, it could be in none.
          const { coupons: waiting } = await db.upcomingCoupons({ page_size: UPCOMING });
          const { coupons: live, server_time } = await db.liveCoupons({ page_size: COUPONS_OF_PAGE });
          const started = new Set(live.map(({ coupon_id }) => coupon_id));
          return { live, upcoming: waiting.filter(({ coupon_id }) => !started.has(coupon_id)), server_time };
        },
        gist: ({ live, upcoming }) => [live, upcoming.map(({ starts_in: _, ...coupon }) => coupon)],
      },
      log.failure,
      clock,
    ),
    readStatus,
    status: createFeed(
      { event: contract.watchStatus.event, read: () => readStatus(), gist: (state) => state },
      log.failure,
      clock,
    ),
  };
}

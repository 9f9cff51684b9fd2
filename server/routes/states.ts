/** What many ask for or watch at once: read once for all of them. */
import { stringifyExact } from "../api/exact.ts";
import type { Clock } from "../clock.ts";
import type { Db } from "../database/functions.ts";
import { etagOf } from "../http/etag.ts";
import { createFeed } from "../http/feed.ts";
import { createShared } from "../http/shared.ts";
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
  const readStatus = async () => ({ ...(await db.couponStatus()), outcomes: issuing.outcomes });
  return {
    live: createShared(async () => {
      const live = await db.liveCoupons();
      // Weak: of the coupons alone, since server_time is another each time.
      return { text: stringifyExact(live), etag: `W/${etagOf(JSON.stringify(live.coupons))}` };
    }),
    coupons: createFeed(
      {
        event: "coupons",
        read: async () => {
          const [{ coupons: live }, { coupons: upcoming, server_time }] = await Promise.all([
            db.liveCoupons(),
            db.upcomingCoupons(UPCOMING),
          ]);
          return { live, upcoming, server_time };
        },
        gist: ({ live, upcoming }) => [live, upcoming.map(({ starts_in: _, ...coupon }) => coupon)],
      },
      log.failure,
      clock,
    ),
    readStatus,
    status: createFeed({ event: "status", read: readStatus, gist: (state) => state }, log.failure, clock),
  };
}

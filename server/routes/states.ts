/** What many ask for or watch at once: read once for all of them. */
import { stringifyExact } from "../api/exact.ts";
import { COUPONS_OF_PAGE } from "../api/requests.ts";
import type { Clock } from "../clock.ts";
import type { Db } from "../database/functions.ts";
import type { Page } from "../database/reads.ts";
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

/** The live coupons of a state, and the page of them that is asked for without a query. */
const FIRST = { page_size: COUPONS_OF_PAGE };
/** Coupons that a page counts down to. */
const UPCOMING = 10;

export type States = ReturnType<typeof createStates>;

export function createStates({ clock, db, issuing, log }: Parts) {
  const readStatus = async () => ({ ...(await db.couponStatus()), outcomes: issuing.outcomes });
  const readLive = async (page: Page) => {
    const live = await db.liveCoupons(page);
    // Weak: of the coupons alone, since server_time is another each time.
    return { text: stringifyExact(live), etag: `W/${etagOf(JSON.stringify(live.coupons))}` };
  };
  const readFirst = createShared(() => readLive(FIRST));
  return {
    /** The page that most ask for is read once for all who wait for it. */
    live: (page: Page) =>
      page.after === undefined && page.page_size === FIRST.page_size ? readFirst() : readLive(page),
    coupons: createFeed(
      {
        event: "coupons",
        read: async () => {
          const [{ coupons: live }, { coupons: upcoming, server_time }] = await Promise.all([
            db.liveCoupons(FIRST),
            db.upcomingCoupons({ page_size: UPCOMING }),
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

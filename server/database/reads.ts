/** Calls of the functions that only read. */
import type { z } from "zod";
import type { couponStats, couponStatuses, offer, wallet } from "../api/answers.ts";
import { day, instant, list, seconds } from "./columns.ts";
import type { Pool } from "./pool.ts";
import type { Instant } from "./rows.ts";

export type Offer = z.infer<typeof offer>;
type CouponStatus = z.infer<typeof couponStatuses>["coupons"][number];
type Wallet = z.infer<typeof wallet>;

/** A row of a coupon's list of grants. */
export interface Grant {
  position: number;
  user_id: number;
  issued_on: string;
  issued_at: Instant;
  used_date: Instant | null;
  use_reference: string | null;
}

/** Which coupons of a list: so many from the first one on, or from the one that follows the coupon `after`. */
export interface Page {
  after?: number | null | undefined;
  page_size: number;
}

/** What is selected, in forms that no setting of a session changes. */
const OFFER = list(
  "c.coupon_id, c.code, c.message, c.description",
  instant("c.start_time"),
  instant("c.expiry"),
  "c.count, c.issued, c.remaining, c.sold_out, c.paused",
  seconds("c.starts_in"),
  "c.metadata",
);
const FOUND = list(OFFER, instant("c.server_time"));
const NOW = instant("now.server_time");
const GRANT = list(
  "position, user_id",
  day("issued_on"),
  instant("issued_at"),
  instant("used_date"),
  "use_reference",
);
const WALLET = list(
  "state, coupon_id, code, message, description, position",
  day("issued_on"),
  instant("issued_at"),
  instant("expiry"),
  instant("used_date"),
  "use_reference",
);
const STATS = list(
  "code, count, issued, remaining, used",
  instant("first_issued_at"),
  instant("last_issued_at"),
  seconds("time_to_sell_out"),
);
const STATUS = list(
  "s.coupon_id, s.code, s.state, s.paused, s.count, s.issued, s.remaining",
  seconds("s.starts_in"),
  seconds("s.since_start"),
  instant("s.last_issued_at"),
  "s.per_second_10s, s.per_second_60s",
);

export function onOffer(offer: Pool) {
  return {
    // The join returns the database's time even if there is no coupon.
    liveCoupons: ({ after = null, page_size }: Page) =>
      offer<Offer>(
        (sql) => sql`
          select ${sql.unsafe(OFFER)}, ${sql.unsafe(NOW)}
          from (select clock_timestamp() as server_time) now
          left join public.live_coupons(after => ${after}::bigint, page_size => ${page_size}::integer) c on true
        `,
      ).then((rows) => paged(rows, page_size)),

    upcomingCoupons: ({ after = null, page_size }: Page) =>
      offer<Offer>(
        (sql) => sql`
          select ${sql.unsafe(OFFER)}, ${sql.unsafe(NOW)}
          from (select clock_timestamp() as server_time) now
          left join public.upcoming_coupons(after => ${after}::bigint, page_size => ${page_size}::integer) c on true
        `,
      ).then((rows) => paged(rows, page_size)),

    findCoupon: (key: { coupon_id: number } | { code: string }) =>
      offer<Offer>((sql) =>
        "code" in key
          ? sql`select ${sql.unsafe(FOUND)} from public.find_coupon(code => ${key.code}::text) c`
          : sql`select ${sql.unsafe(FOUND)} from public.find_coupon(coupon_id => ${key.coupon_id}::bigint) c`,
      ).then((rows) => rows[0]),
  };
}

export function reports(report: Pool) {
  return {
    listUsers: (after: number, pageSize: number) =>
      report<{ user_id: number; display_name: string }>(
        (sql) => sql`
          select user_id, display_name
          from public.list_users(after => ${after}::bigint, page_size => ${pageSize}::integer)
        `,
      ),

    wallet: (userId: number, before: string | null, pageSize: number) =>
      report<Wallet["coupons"][number]>(
        (sql) => sql`
          select ${sql.unsafe(WALLET)}
          from public.wallet(
            user_id => ${userId}::bigint, before => ${before}::text::date, page_size => ${pageSize}::integer)
        `,
      ),

    listGrants: (couponId: number, after: number, pageSize: number) =>
      report<Grant>(
        (sql) => sql`
          select ${sql.unsafe(GRANT)}
          from public.list_grants(
            coupon_id => ${couponId}::bigint, after => ${after}::integer, page_size => ${pageSize}::integer)
        `,
      ),

    couponStats: (couponId: number) =>
      report<Omit<z.infer<typeof couponStats>, "coupon_id">>(
        (sql) => sql`select ${sql.unsafe(STATS)} from public.coupon_stats(coupon_id => ${couponId}::bigint)`,
      ).then((rows) => rows[0]),

    couponStatus: () =>
      report<CouponStatus & { server_time: Instant }>(
        (sql) => sql`
          select ${sql.unsafe(STATUS)}, ${sql.unsafe(NOW)}
          from (select clock_timestamp() as server_time) now left join public.coupon_status() s on true
        `,
      ).then(listed),
  };
}

function listed<Row extends { coupon_id: number; server_time: Instant }>(
  rows: readonly Row[],
): { coupons: Omit<Row, "server_time">[]; server_time: Instant } {
  const coupons = rows.filter((row) => row.coupon_id !== null).map(({ server_time: _, ...coupon }) => coupon);
  return { coupons, server_time: rows[0]?.server_time as Instant };
}

/** The same of a page, with the `after` of the next one: null if this one is not full. */
function paged(rows: readonly Offer[], size: number) {
  const { coupons, server_time } = listed(rows);
  const next_after = coupons.length === size ? (coupons.at(-1)?.coupon_id ?? null) : null;
  return { coupons, next_after, server_time };
}

/** Calls of the functions that only read. */
import type { z } from "zod";
import type {
  auditTrail,
  couponStats,
  couponStatuses,
  couponTimeline,
  dailySummary,
  listedCoupons,
  offer,
  wallet,
} from "../api/answers.ts";
import type { EventOfDatabase } from "../api/events.ts";
import { day, instant, list, seconds } from "./columns.ts";
import type { Call } from "./pool.ts";
import { type Instant, lastOf } from "./rows.ts";

export type Offer = z.infer<typeof offer>;
type CouponStatus = z.infer<typeof couponStatuses>["coupons"][number];
type Wallet = z.infer<typeof wallet>;
type ListedCoupon = z.infer<typeof listedCoupons>["coupons"][number];
type Bucket = z.infer<typeof couponTimeline>["buckets"][number];
type Day = z.infer<typeof dailySummary>["days"][number];
type AuditEntry = z.infer<typeof auditTrail>["entries"][number];

/** A row of a coupon's list of grants. */
export interface Grant {
  position: number;
  user_id: number;
  issued_on: string;
  issued_at: Instant;
  used_date: Instant | null;
  use_reference: string | null;
}

/** Which coupons of a list: so many of those that start before, or after, an instant. */
interface PageBefore {
  before?: Instant | undefined;
  page_size: number;
}
interface PageAfter {
  after?: Instant | undefined;
  page_size: number;
}

/** Which coupons an operator looks for. */
interface Search extends PageBefore {
  state?: ListedCoupon["state"] | undefined;
  since?: Instant | undefined;
  code_prefix?: string | undefined;
}

/** What a timeline tells: seconds that each of its buckets lasts, and the time from an instant on, and before one. */
export interface Span {
  bucket: number;
  since?: Instant | undefined;
  before?: Instant | undefined;
}

/** Which entries of the audit. */
interface AuditSearch {
  coupon_id?: number | undefined;
  user_id?: number | undefined;
  since?: Instant | undefined;
  /** An entry's id. */
  before?: number | undefined;
  page_size: number;
}

/** What is selected, in forms that no setting of a session changes. */
const OFFER = list(
  "c.coupon_id, c.code, c.message, c.description",
  instant("c.start_time"),
  instant("c.eligible_from"),
  instant("c.expiry"),
  "c.count, c.issued, c.remaining, c.sold_out",
  instant("c.sold_out_at"),
  seconds("c.time_to_sell_out"),
  "c.paused",
  seconds("c.starts_in"),
  "c.metadata",
);
const FOUND = list(OFFER, "c.asked", instant("c.server_time"));
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
  "claim_code",
  instant("used_date"),
  "use_reference",
);
const STATS = list(
  "code, count, issued, remaining, used, asked",
  instant("first_issued_at"),
  instant("last_issued_at"),
  instant("sold_out_at"),
  seconds("time_to_sell_out"),
);
const LISTED = list(
  "c.state, c.coupon_id, c.code, c.message, c.description",
  instant("c.start_time"),
  "c.eligible_group",
  instant("c.eligible_from"),
  instant("c.expiry"),
  day("c.live_on"),
  "c.slot, c.count, c.issued, c.remaining, c.paused, c.metadata",
);
const BUCKET = list(instant("begins_at"), "asked, grants, refused, issued");
const DAY = list(
  day("day"),
  "coupons, count, asked, issued, used, share_used",
  instant("first_issued_at"),
  instant("last_issued_at"),
);
const AUDIT = list(
  "id as audit_id",
  instant("at"),
  "login, actor, command, coupon_id, user_id",
  instant("used_date"),
  "old_values, new_values, reason",
);
export const EVENT = list(
  "event_id, event",
  instant("at"),
  "coupon_id, user_id, position, use_reference, old_values, new_values",
);
const STATUS = list(
  "s.coupon_id, s.code, s.state, s.paused, s.count, s.issued, s.remaining",
  seconds("s.starts_in"),
  seconds("s.since_start"),
  instant("s.last_issued_at"),
  "s.per_second_10s, s.per_second_60s",
);

export function onOffer(offer: Call) {
  return {
    // The join returns the database's time even if there is no coupon.
    liveCoupons: ({ before, page_size }: PageBefore) =>
      offer<Offer>(
        (sql) => sql`
          select ${sql.unsafe(OFFER)}, ${sql.unsafe(NOW)}
          from (select clock_timestamp() as server_time) now
          left join public.live_coupons(
            before => ${before ?? null}::text::timestamptz, page_size => ${page_size}::integer) c on true
        `,
      ).then((rows) => {
        const { coupons, server_time } = listed(rows);
        return { coupons, next_before: lastOf(coupons, page_size)?.start_time ?? null, server_time };
      }),

    upcomingCoupons: ({ after, page_size }: PageAfter) =>
      offer<Offer>(
        (sql) => sql`
          select ${sql.unsafe(OFFER)}, ${sql.unsafe(NOW)}
          from (select clock_timestamp() as server_time) now
          left join public.upcoming_coupons(
            after => ${after ?? null}::text::timestamptz, page_size => ${page_size}::integer) c on true
        `,
      ).then((rows) => {
        const { coupons, server_time } = listed(rows);
        return { coupons, next_after: lastOf(coupons, page_size)?.start_time ?? null, server_time };
      }),

    findCoupon: (key: { coupon_id: number } | { code: string }) =>
      offer<Offer>((sql) =>
        "code" in key
          ? sql`select ${sql.unsafe(FOUND)} from public.find_coupon(code => ${key.code}::text) c`
          : sql`select ${sql.unsafe(FOUND)} from public.find_coupon(coupon_id => ${key.coupon_id}::bigint) c`,
      ).then((rows) => rows[0]),
  };
}

export function ofUsers(read: Call) {
  return {
    wallet: (userId: number, before: string | null, pageSize: number) =>
      read<Wallet["coupons"][number]>(
        (sql) => sql`
          select ${sql.unsafe(WALLET)}
          from public.wallet(
            user_id => ${userId}::bigint, before => ${before}::text::date, page_size => ${pageSize}::integer)
        `,
      ),
  };
}

export function reports(report: Call) {
  return {
    listUsers: (after: number, pageSize: number) =>
      report<{ user_id: number; display_name: string }>(
        (sql) => sql`
          select user_id, display_name
          from public.list_users(after => ${after}::bigint, page_size => ${pageSize}::integer)
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

    listCoupons: ({ state, since, before, code_prefix, page_size }: Search) =>
      report<ListedCoupon & { server_time: Instant }>(
        (sql) => sql`
          select ${sql.unsafe(LISTED)}, ${sql.unsafe(NOW)}
          from (select clock_timestamp() as server_time) now
          left join public.list_coupons(
            state => ${state ?? null}::text::public.coupon_state, since => ${since ?? null}::text::timestamptz,
            before => ${before ?? null}::text::timestamptz, code_prefix => ${code_prefix ?? null}::text,
            page_size => ${page_size}::integer) c on true
        `,
      ).then((rows) => {
        const { coupons, server_time } = listed(rows);
        return { coupons, next_before: lastOf(coupons, page_size)?.start_time ?? null, server_time };
      }),

    couponTimeline: (couponId: number, { bucket, since, before }: Span) =>
      report<Bucket>(
        (sql) => sql`
          select ${sql.unsafe(BUCKET)}
          from public.coupon_timeline(
            coupon_id => ${couponId}::bigint, bucket => ${bucket}::float8 * interval '1 second',
            since => ${since ?? null}::text::timestamptz, before => ${before ?? null}::text::timestamptz)
        `,
      ),

    dailySummary: (firstDay: string | null, lastDay: string | null) =>
      report<Day>(
        (sql) => sql`
          select ${sql.unsafe(DAY)}
          from public.daily_summary(
            first_day => ${firstDay}::text::date, last_day => ${lastDay}::text::date)
        `,
      ),

    auditTrail: ({ coupon_id, user_id, since, before, page_size }: AuditSearch) =>
      report<AuditEntry>(
        (sql) => sql`
          select ${sql.unsafe(AUDIT)}
          from public.audit_trail(
            coupon_id => ${coupon_id ?? null}::bigint, user_id => ${user_id ?? null}::bigint,
            since => ${since ?? null}::text::timestamptz, before => ${before ?? null}::bigint,
            page_size => ${page_size}::integer)
        `,
      ).then((entries) => ({ entries, next_before: lastOf(entries, page_size)?.audit_id ?? null })),

    /** The first events after one; from the beginning; or the newest one alone. */
    events: (after: string | null, pageSize: number) =>
      report<EventOfDatabase>(
        (sql) => sql`
          select ${sql.unsafe(EVENT)}
          from public.events(after => ${after}::text, page_size => ${pageSize}::integer)
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

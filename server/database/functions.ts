/** One method for each function of the database. The server has no other SQL. */
import type postgres from "postgres";
import type { z } from "zod";
import type { couponStats, couponStatuses, offer, wallet } from "../api/answers.ts";
import { stringifyExact } from "../api/exact.ts";
import type { Command, CommonRefusal, Outcome } from "../api/outcomes.ts";
import type { newCoupon } from "../api/requests.ts";
import { day, instant, list, seconds } from "./columns.ts";
import { DatabaseError } from "./errors.ts";
import { openPools, type Pool } from "./pool.ts";

/** An instant: RFC 3339 in UTC, to the microsecond. */
type Instant = string;
/** A duration in seconds. */
type Seconds = number;

export type Offer = z.infer<typeof offer>;
type CouponStatus = z.infer<typeof couponStatuses>["coupons"][number];
type Wallet = z.infer<typeof wallet>;

type NewCoupon = Omit<z.infer<typeof newCoupon>, "reason">;

export interface Issue {
  outcome: Outcome<"issue_coupon">;
  user_id: number;
  position: number | null;
  issued_on: string | null;
  issued_at: Instant | null;
  starts_in: Seconds | null;
}

/** A row of a coupon's list of grants. */
export interface Grant {
  position: number;
  user_id: number;
  issued_on: string;
  issued_at: Instant;
  used_date: Instant | null;
  use_reference: string | null;
}

/** The last grant of a coupon that a server knows; its holders are those up to it. */
export interface Known {
  position: number;
  issuedAt: Instant | null;
}

/**
 * valid_for and starts_in count from the moment of the question. holders are those of the positions after holders_after, which is 0 if
 * what was known is not true of this database.
 */
export type Lease =
  | { outcome: "coupon_not_found" | "not_leased" }
  | {
      outcome: "leased";
      refusal: CommonRefusal;
      valid_for: Seconds;
      starts_in: Seconds | null;
      issued: number;
      last_issued_at: Instant | null;
      holders_after: number;
      holders: number[];
    };

/** Versions of migrations, "20261128000001" for example: the newest one applied, and the one that a server must know. */
export interface SchemaVersion {
  migration: string | null;
  oldest_server: string;
  /** Which of the functions that the server needs are not there, or not its login's to call. */
  missing: string[];
}

/** For the audit: on whose behalf, for example "admin:root", and why. */
export interface Note {
  actor: string;
  reason?: string | undefined;
}

/** Which coupons of a list: so many from the first one on, or from the one that follows the coupon `after`. */
export interface Page {
  after?: number | null | undefined;
  page_size: number;
}

export interface Use<C extends Command> {
  outcome: Outcome<C>;
  used_date: Instant | null;
  use_reference: string | null;
}

export type Db = ReturnType<typeof connectDb>;
export type Pools = Db["pools"];

/** What is selected, in forms that no setting of a session changes. */
const ISSUE = list(
  "outcome, user_id, position",
  day("issued_on"),
  instant("issued_at"),
  seconds("starts_in"),
);
const LEASE = list(
  "outcome, refusal",
  seconds("valid_for"),
  seconds("starts_in"),
  "issued",
  instant("last_issued_at"),
  "holders_after, to_json(holders) as holders",
);
const USE = list("outcome", instant("used_date"), "use_reference");
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

export function connectDb(url: string, options: { callMs?: number } = {}) {
  const { pools, figures, onLost, close } = openPools(url, options.callMs);
  const { issue, lookup, lease, use, operate, offer, report, ready } = pools;
  return {
    ...issuing(issue, lookup, lease),
    ...using(use),
    ...operating(operate),
    ...onOffer(offer),
    ...users(operate, report),
    ...reports(report),
    /** Proves each time that the database takes writes: behind a pooler, another one may answer by now. */
    schemaVersion: (needed: readonly string[] = []) => {
      ready.doubt();
      return ready<SchemaVersion>(
        (sql) => sql`
          select v.migration, v.oldest_server, (
            select coalesce(json_agg(f), '[]')
            from unnest(${arrayOf(needed)}::text[]) f
            where has_function_privilege(to_regprocedure(f), 'execute') is not true
          ) as missing
          from public.schema_version() v
        `,
      ).then(only);
    },
    pools: figures,
    onLost,
    close,
  };
}

function issuing(issue: Pool, lookup: Pool, lease: Pool) {
  return {
    issueCoupons: (couponId: number, userIds: readonly number[], isKnown = true) =>
      (isKnown ? issue : lookup)<Issue>(
        (sql) => sql`
          select ${sql.unsafe(ISSUE)}
          from public.issue_coupons(coupon_id => ${couponId}::bigint, user_ids => ${arrayOf(userIds)}::bigint[])
        `,
      ),

    couponLease: (couponId: number, known: Known) =>
      lease<Lease>(
        (sql) => sql`
          select ${sql.unsafe(LEASE)}
          from public.coupon_lease(
            coupon_id => ${couponId}::bigint, known_position => ${known.position}::integer,
            known_issued_at => ${known.issuedAt}::text::timestamptz)
        `,
      ).then(only),
  };
}

function using(use: Pool) {
  return {
    useCoupon: (userId: number, couponId: number, reference: string, actor: string) =>
      use<Use<"use_coupon">>(
        (sql) => sql`
          select ${sql.unsafe(USE)}
          from public.use_coupon(
            user_id => ${userId}::bigint, coupon_id => ${couponId}::bigint, reference => ${reference}::text,
            actor => ${actor}::text)
        `,
      ).then(only),

    undoUse: (userId: number, couponId: number, note: Note & { reason: string }) =>
      use<Use<"undo_use">>(
        (sql) => sql`
          select ${sql.unsafe(USE)}
          from public.undo_use(
            user_id => ${userId}::bigint, coupon_id => ${couponId}::bigint, ${noted(sql, note)})
        `,
      ).then(only),
  };
}

function operating(operate: Pool) {
  return {
    createCoupon: (coupon: NewCoupon, note: Note) =>
      operate<{
        outcome: Outcome<"create_coupon">;
        coupon_id: number | null;
        live_on: string | null;
        slot: number | null;
      }>(
        (sql) => sql`
          select outcome, coupon_id, ${sql.unsafe(day("live_on"))}, slot
          from public.create_coupon(
            code => ${coupon.code}::text, message => ${coupon.message}::text,
            description => ${coupon.description}::text, start_time => ${coupon.start_time}::text::timestamptz,
            expiry => ${coupon.expiry}::text::timestamptz, count => ${coupon.count}::integer,
            metadata => ${stringifyExact(coupon.metadata)}::text::jsonb, ${noted(sql, note)})
        `,
      ).then(only),

    pauseCoupon: (couponId: number, note: Note) =>
      operate<{ outcome: Outcome<"pause_coupon"> }>(
        (sql) =>
          sql`select outcome from public.pause_coupon(coupon_id => ${couponId}::bigint, ${noted(sql, note)})`,
      ).then(only),

    resumeCoupon: (couponId: number, note: Note) =>
      operate<{ outcome: Outcome<"resume_coupon"> }>(
        (sql) =>
          sql`select outcome from public.resume_coupon(coupon_id => ${couponId}::bigint, ${noted(sql, note)})`,
      ).then(only),

    setCouponCount: (couponId: number, count: number, note: Note) =>
      operate<{ outcome: Outcome<"set_coupon_count">; issued: number | null; remaining: number | null }>(
        (sql) => sql`
          select outcome, issued, remaining
          from public.set_coupon_count(
            coupon_id => ${couponId}::bigint, count => ${count}::integer, ${noted(sql, note)})
        `,
      ).then(only),

    setCouponExpiry: (couponId: number, expiry: Instant, note: Note) =>
      operate<{ outcome: Outcome<"set_coupon_expiry"> }>(
        (sql) => sql`
          select outcome
          from public.set_coupon_expiry(
            coupon_id => ${couponId}::bigint, expiry => ${expiry}::text::timestamptz, ${noted(sql, note)})
        `,
      ).then(only),
  };
}

function onOffer(offer: Pool) {
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

function users(operate: Pool, report: Pool) {
  return {
    importUsers: (users: readonly { user_id: number; display_name: string }[], note: Note) =>
      operate<{ outcome: "created" | "updated" | "unchanged"; user_id: number }>(
        (sql) => sql`
          select outcome, user_id
          from public.import_users(
            user_ids => ${arrayOf(users.map((user) => user.user_id))}::bigint[],
            display_names => ${arrayOf(users.map((user) => user.display_name))}::text[], ${noted(sql, note)})
        `,
      ),

    listUsers: (after: number, pageSize: number) =>
      report<{ user_id: number; display_name: string }>(
        (sql) => sql`
          select user_id, display_name
          from public.list_users(after => ${after}::bigint, page_size => ${pageSize}::integer)
        `,
      ),

    foldGrants: (atMost: number) =>
      operate<{ copied: number }>(
        (sql) => sql`select public.fold_grants(at_most => ${atMost}::integer) as copied`,
      ).then((rows) => only(rows).copied),

    wallet: (userId: number, before: string | null, pageSize: number) =>
      report<Wallet["coupons"][number]>(
        (sql) => sql`
          select ${sql.unsafe(WALLET)}
          from public.wallet(
            user_id => ${userId}::bigint, before => ${before}::text::date, page_size => ${pageSize}::integer)
        `,
      ),
  };
}

function reports(report: Pool) {
  return {
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

/** The arguments of a function that writes to the audit. */
function noted(sql: postgres.Sql, { reason, actor }: Note) {
  return sql`reason => ${reason ?? null}::text, actor => ${actor}::text`;
}

/** An array as text, as PostgreSQL reads it: the driver (postgres 3.4.9) supports arrays only with fetch_types. */
function arrayOf(values: readonly (number | string)[]): string {
  const element = (value: number | string) =>
    typeof value === "number" ? value : `"${value.replace(/["\\]/g, "\\$&")}"`;
  return `{${values.map(element).join()}}`;
}

function only<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new DatabaseError("defect", "", "a command returned no row");
  return row;
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

/** One method for each function of the database. The server has no other SQL. */
import type postgres from "postgres";
import type { z } from "zod";
import type { couponStats, couponStatuses, offer, wallet } from "../api/answers.ts";
import type { Command, CommonRefusal, Outcome } from "../api/outcomes.ts";
import type { newCoupon } from "../api/requests.ts";
import { DatabaseError } from "./errors.ts";
import { createPool, type Pool } from "./pool.ts";

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

/** valid_for and starts_in count from the moment of the question. */
export type Lease =
  | { outcome: "coupon_not_found" | "not_leased" }
  | {
      outcome: "leased";
      refusal: CommonRefusal;
      valid_for: Seconds;
      starts_in: Seconds | null;
      issued: number;
      holders: number[];
    };

/** Versions of migrations, "20261128000001" for example: the newest one applied, and the one that a server must know. */
export interface SchemaVersion {
  migration: string | null;
  oldest_server: string;
}

/** For the audit: on whose behalf, for example "admin:root", and why. */
export interface Note {
  actor: string;
  reason?: string | undefined;
}

export interface Use<C extends Command> {
  outcome: Outcome<C>;
  used_date: Instant | null;
  use_reference: string | null;
}

export type Db = ReturnType<typeof connectDb>;
export type Pools = Db["pools"];

/** Connections by purpose, so that a slow list cannot delay a grant. */
const POOLS = { issue: 4, command: 8, read: 4 } as const;

export function connectDb(url: string, options: { callMs?: number } = {}) {
  const issue = createPool(url, POOLS.issue, options.callMs);
  const command = createPool(url, POOLS.command, options.callMs);
  const read = createPool(url, POOLS.read, options.callMs);
  return {
    ...issuing(issue, command),
    ...using(command),
    ...operating(command),
    ...onOffer(read),
    ...users(command, read),
    ...reports(read),
    schemaVersion: () =>
      read<SchemaVersion>((sql) => sql`select migration, oldest_server from schema_version()`).then(only),
    /** The current figures of each pool, and its errors so far. */
    pools: { issue: issue.figures, command: command.figures, read: read.figures },
    /** Closes all connections. Calls in flight have `ms` to finish. */
    close: (ms: number) => Promise.all([issue, command, read].map((pool) => pool.close(ms))),
  };
}

function issuing(issue: Pool, command: Pool) {
  return {
    issueCoupons: (couponId: number, userIds: readonly number[]) =>
      issue<Issue>(
        (sql) => sql`
          select outcome, user_id, position, issued_on, issued_at, starts_in
          from issue_coupons(coupon_id => ${couponId}::bigint, user_ids => ${arrayOf(userIds)}::bigint[])
        `,
      ),

    couponLease: (couponId: number, knownPosition: number) =>
      command<Lease>(
        (sql) => sql`
          select outcome, refusal, valid_for, starts_in, issued, to_json(holders) as holders
          from coupon_lease(coupon_id => ${couponId}::bigint, known_position => ${knownPosition}::integer)
        `,
      ).then(only),
  };
}

function using(command: Pool) {
  return {
    useCoupon: (userId: number, couponId: number, reference: string, actor: string) =>
      command<Use<"use_coupon">>(
        (sql) => sql`
          select outcome, used_date, use_reference
          from use_coupon(
            user_id => ${userId}::bigint, coupon_id => ${couponId}::bigint, reference => ${reference}::text,
            actor => ${actor}::text)
        `,
      ).then(only),

    undoUse: (userId: number, couponId: number, note: Note & { reason: string }) =>
      command<Use<"undo_use">>(
        (sql) => sql`
          select outcome, used_date, use_reference
          from undo_use(
            user_id => ${userId}::bigint, coupon_id => ${couponId}::bigint, ${noted(sql, note)})
        `,
      ).then(only),
  };
}

function operating(command: Pool) {
  return {
    createCoupon: (coupon: NewCoupon, note: Note) =>
      command<{
        outcome: Outcome<"create_coupon">;
        coupon_id: number | null;
        live_on: string | null;
        slot: number | null;
      }>(
        (sql) => sql`
          select outcome, coupon_id, live_on, slot
          from create_coupon(
            code => ${coupon.code}::text, message => ${coupon.message}::text,
            description => ${coupon.description}::text, start_time => ${coupon.start_time}::text::timestamptz,
            expiry => ${coupon.expiry}::text::timestamptz, count => ${coupon.count}::integer,
            metadata => ${JSON.stringify(coupon.metadata)}::text::jsonb, ${noted(sql, note)})
        `,
      ).then(only),

    pauseCoupon: (couponId: number, note: Note) =>
      command<{ outcome: Outcome<"pause_coupon"> }>(
        (sql) => sql`select outcome from pause_coupon(coupon_id => ${couponId}::bigint, ${noted(sql, note)})`,
      ).then(only),

    resumeCoupon: (couponId: number, note: Note) =>
      command<{ outcome: Outcome<"resume_coupon"> }>(
        (sql) =>
          sql`select outcome from resume_coupon(coupon_id => ${couponId}::bigint, ${noted(sql, note)})`,
      ).then(only),

    setCouponCount: (couponId: number, count: number, note: Note) =>
      command<{ outcome: Outcome<"set_coupon_count">; issued: number | null; remaining: number | null }>(
        (sql) => sql`
          select outcome, issued, remaining
          from set_coupon_count(
            coupon_id => ${couponId}::bigint, count => ${count}::integer, ${noted(sql, note)})
        `,
      ).then(only),

    setCouponExpiry: (couponId: number, expiry: Instant, note: Note) =>
      command<{ outcome: Outcome<"set_coupon_expiry"> }>(
        (sql) => sql`
          select outcome
          from set_coupon_expiry(
            coupon_id => ${couponId}::bigint, expiry => ${expiry}::text::timestamptz, ${noted(sql, note)})
        `,
      ).then(only),
  };
}

function onOffer(read: Pool) {
  return {
    // The join returns the database's time even if there is no coupon.
    liveCoupons: () =>
      read<Offer>(
        (sql) => sql`
          select c.*, now.server_time
          from (select clock_timestamp() as server_time) now left join live_coupons() c on true
        `,
      ).then(listed),

    upcomingCoupons: (pageSize: number) =>
      read<Offer>(
        (sql) => sql`
          select c.*, now.server_time
          from (select clock_timestamp() as server_time) now
          left join upcoming_coupons(page_size => ${pageSize}::integer) c on true
        `,
      ).then(listed),

    findCoupon: (key: { coupon_id: number } | { code: string }) =>
      read<Offer>((sql) =>
        "code" in key
          ? sql`select * from find_coupon(code => ${key.code}::text)`
          : sql`select * from find_coupon(coupon_id => ${key.coupon_id}::bigint)`,
      ).then((rows) => rows[0]),
  };
}

function users(command: Pool, read: Pool) {
  return {
    importUsers: (users: readonly { user_id: number; display_name: string }[], note: Note) =>
      command<{ outcome: "created" | "updated" | "unchanged"; user_id: number }>(
        (sql) => sql`
          select outcome, user_id
          from import_users(
            user_ids => ${arrayOf(users.map((user) => user.user_id))}::bigint[],
            display_names => ${arrayOf(users.map((user) => user.display_name))}::text[], ${noted(sql, note)})
        `,
      ),

    listUsers: (after: number, pageSize: number) =>
      read<{ user_id: number; display_name: string }>(
        (sql) => sql`
          select user_id, display_name
          from list_users(after => ${after}::bigint, page_size => ${pageSize}::integer)
        `,
      ),

    wallet: (userId: number, before: string | null, pageSize: number) =>
      read<Wallet["coupons"][number]>(
        (sql) => sql`
          select *
          from wallet(
            user_id => ${userId}::bigint, before => ${before}::text::date, page_size => ${pageSize}::integer)
        `,
      ),
  };
}

function reports(read: Pool) {
  return {
    listGrants: (couponId: number, after: number, pageSize: number) =>
      read<Grant>(
        (sql) => sql`
          select position, user_id, issued_on, issued_at, used_date, use_reference
          from list_grants(
            coupon_id => ${couponId}::bigint, after => ${after}::integer, page_size => ${pageSize}::integer)
        `,
      ),

    couponStats: (couponId: number) =>
      read<Omit<z.infer<typeof couponStats>, "coupon_id">>(
        (sql) => sql`select * from coupon_stats(coupon_id => ${couponId}::bigint)`,
      ).then((rows) => rows[0]),

    couponStatus: () =>
      read<CouponStatus & { server_time: Instant }>(
        (sql) => sql`
          select s.*, now.server_time
          from (select clock_timestamp() as server_time) now left join coupon_status() s on true
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

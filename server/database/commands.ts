/** Calls of the functions that change something, and of the lease. */
import type postgres from "postgres";
import type { z } from "zod";
import type { AnswerOf } from "../api/contract-types.ts";
import { stringifyExact } from "../api/exact.ts";
import type { Command, CommonRefusal, Outcome } from "../api/outcomes.ts";
import type { edit, newCoupon } from "../api/requests.ts";
import type { warning } from "../api/values.ts";
import { day, instant, list, seconds } from "./columns.ts";
import type { Pool } from "./pool.ts";
import { arrayOf, type Instant, only, type Seconds } from "./rows.ts";

type NewCoupon = Omit<z.infer<typeof newCoupon>, "reason">;
type Edit = Omit<z.infer<typeof edit>, "reason">;
/** What was done although it may be a mistake. */
export type Warning = z.infer<typeof warning> | null;

export interface Issue {
  outcome: Outcome<"issue_coupon">;
  user_id: number;
  position: number | null;
  issued_on: string | null;
  issued_at: Instant | null;
  starts_in: Seconds | null;
  sold_out_at: Instant | null;
  time_to_sell_out: Seconds | null;
}

/** The last grant of a coupon that a server knows; its holders are those up to it. */
export interface Known {
  position: number;
  issuedAt: Instant | null;
}

export interface LeaseQuestion {
  couponId: number;
  known: Known;
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
      sold_out_at: Instant | null;
      time_to_sell_out: Seconds | null;
      issued: number;
      last_issued_at: Instant | null;
      holders_after: number;
      holders: number[];
    };

/** Requests for a coupon that were answered and wrote nothing. */
export interface Count {
  couponId: number;
  refused: number;
  replayed: number;
}

/** For the audit: on whose behalf, for example "admin:root", and why. */
export interface Note {
  actor: string;
  reason?: string | undefined;
}

/** For taking a use back, which may have to be on behalf of the same actor. */
export interface Undo extends Note {
  reason: string;
  onlyOwn: boolean;
  /** Which use it must be. */
  usedDate?: string | undefined;
}

export interface Use<C extends Command> {
  outcome: Outcome<C>;
  used_date: Instant | null;
  use_reference: string | null;
}

/** What a till is told of a claim code: all but the outcome is null where it is not found. */
export interface Claim<C extends Command> extends Use<C> {
  coupon_id: number | null;
  code: string | null;
  message: string | null;
  position: number | null;
  user_id: number | null;
  display_name: string | null;
}

/** What is selected, in forms that no setting of a session changes. */
const ISSUE = list(
  "outcome, user_id, position",
  day("issued_on"),
  instant("issued_at"),
  seconds("starts_in"),
  instant("sold_out_at"),
  seconds("time_to_sell_out"),
);
const LEASE = list(
  "outcome, refusal",
  seconds("valid_for"),
  seconds("starts_in"),
  instant("sold_out_at"),
  seconds("time_to_sell_out"),
  "issued",
  instant("last_issued_at"),
  "holders_after, to_json(holders) as holders",
);
const USE = list("outcome", instant("used_date"), "use_reference");
const CLAIM = list(
  "outcome, coupon_id, code, message, position, user_id, display_name",
  instant("used_date"),
  "use_reference",
);

/** No grant's issued_at. A null in an array is a text in a session with array_nulls = off. */
const NEVER = "-infinity";

export function issuing(issue: Pool, lookup: Pool, lease: Pool) {
  return {
    issueCoupons: (couponId: number, userIds: readonly number[], isKnown = true) =>
      (isKnown ? issue : lookup)<Issue>(
        (sql) => sql`
          select ${sql.unsafe(ISSUE)}
          from public.issue_coupons(coupon_id => ${couponId}::bigint, user_ids => ${arrayOf(userIds)}::bigint[])
        `,
      ),

    /** One answer to each question, in their order. With `onlyLeased` no coupon gets its first lease, for which it would be written. */
    couponLeases: (questions: readonly LeaseQuestion[], onlyLeased: boolean) =>
      lease<Lease>(
        (sql) => sql`
          select ${sql.unsafe(LEASE)}
          from public.coupon_leases(
            coupon_ids => ${arrayOf(questions.map(({ couponId }) => couponId))}::bigint[],
            known_positions => ${arrayOf(questions.map(({ known }) => known.position))}::integer[],
            known_issued_ats => ${arrayOf(questions.map(({ known }) => known.issuedAt ?? NEVER))}::text[]::timestamptz[],
            only_leased => ${onlyLeased}::boolean)
        `,
      ),
  };
}

export function using(use: Pool) {
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

    useClaim: (claimCode: string, reference: string, actor: string) =>
      use<Claim<"use_claim">>(
        (sql) => sql`
          select ${sql.unsafe(CLAIM)}
          from public.use_claim(
            claim_code => ${claimCode}::text, reference => ${reference}::text, actor => ${actor}::text)
        `,
      ).then(only),

    undoUse: (userId: number, couponId: number, note: Undo) =>
      use<Use<"undo_use">>(
        (sql) => sql`
          select ${sql.unsafe(USE)}
          from public.undo_use(
            user_id => ${userId}::bigint, coupon_id => ${couponId}::bigint, only_own => ${note.onlyOwn}::boolean,
            only_used_date => ${note.usedDate ?? null}::text::timestamptz, ${noted(sql, note)})
        `,
      ).then(only),

    undoClaim: (claimCode: string, note: Undo) =>
      use<Claim<"undo_claim">>(
        (sql) => sql`
          select ${sql.unsafe(CLAIM)}
          from public.undo_claim(
            claim_code => ${claimCode}::text, only_own => ${note.onlyOwn}::boolean,
            only_used_date => ${note.usedDate ?? null}::text::timestamptz, ${noted(sql, note)})
        `,
      ).then(only),
  };
}

export function operating(operate: Pool) {
  return {
    createCoupon: (coupon: NewCoupon, note: Note) =>
      operate<{
        outcome: Outcome<"create_coupon">;
        coupon_id: number | null;
        live_on: string | null;
        slot: number | null;
        warning: Warning;
      }>(
        (sql) => sql`
          select outcome, coupon_id, ${sql.unsafe(day("live_on"))}, slot, warning
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
      operate<{ outcome: Outcome<"set_coupon_expiry">; warning: Warning }>(
        (sql) => sql`
          select outcome, warning
          from public.set_coupon_expiry(
            coupon_id => ${couponId}::bigint, expiry => ${expiry}::text::timestamptz, ${noted(sql, note)})
        `,
      ).then(only),

    setCouponStart: (couponId: number, startTime: Instant, note: Note) =>
      operate<{
        outcome: Outcome<"set_coupon_start">;
        live_on: string | null;
        slot: number | null;
        taken_by: number | null;
        warning: Warning;
      }>(
        (sql) => sql`
          select outcome, ${sql.unsafe(day("live_on"))}, slot, taken_by, warning
          from public.set_coupon_start(
            coupon_id => ${couponId}::bigint, start_time => ${startTime}::text::timestamptz, ${noted(sql, note)})
        `,
      ).then(only),

    editCoupon: (couponId: number, { code, message, description, metadata }: Edit, note: Note) =>
      operate<{ outcome: Outcome<"edit_coupon">; taken_by: number | null }>(
        (sql) => sql`
          select outcome, taken_by
          from public.edit_coupon(
            coupon_id => ${couponId}::bigint, code => ${code ?? null}::text, message => ${message ?? null}::text,
            description => ${description ?? null}::text,
            metadata => ${metadata === undefined ? null : stringifyExact(metadata)}::text::jsonb, ${noted(sql, note)})
        `,
      ).then(only),

    withdrawCoupon: (couponId: number, note: Note) =>
      operate<{ outcome: Outcome<"withdraw_coupon">; issued: number | null }>(
        (sql) =>
          sql`select outcome, issued from public.withdraw_coupon(coupon_id => ${couponId}::bigint, ${noted(sql, note)})`,
      ).then(only),

    importUsers: (users: readonly { user_id: number; display_name: string }[], note: Note) =>
      operate<AnswerOf<"importUsers">["users"][number]>(
        (sql) => sql`
          select outcome, user_id
          from public.import_users(
            user_ids => ${arrayOf(users.map((user) => user.user_id))}::bigint[],
            display_names => ${arrayOf(users.map((user) => user.display_name))}::text[], ${noted(sql, note)})
        `,
      ),
  };
}

/** What keeps the tables as they should be: who is forgotten, what is counted, folded and retired. */
export function keeping(operate: Pool) {
  return {
    retireCoupons: (before: string, atMost: number, note: Note) =>
      operate<{
        outcome: Outcome<"retire_coupons">;
        coupon_id: number | null;
        code: string | null;
        grants: number | null;
        grants_left: number | null;
        coupons_left: number | null;
      }>(
        (sql) => sql`
          select outcome, coupon_id, code, grants, grants_left, coupons_left
          from public.retire_coupons(
            before => ${before}::text::date, at_most => ${atMost}::integer, ${noted(sql, note)})
        `,
      ).then(only),

    forgetUser: (userId: number, note: Note) =>
      operate<{ outcome: Outcome<"forget_user"> }>(
        (sql) =>
          sql`select outcome from public.forget_user(user_id => ${userId}::bigint, ${noted(sql, note)})`,
      ).then(only),

    /** Evaluated when the call has its connection: it may wait for one. How long the database's second still lasts. */
    countDemand: (sender: string, number: number, ago: () => Seconds, counts: readonly Count[]) =>
      operate<{ left: Seconds }>(
        (sql) => sql`
          select extract(epoch from public.count_demand(
            sender => ${sender}::uuid, number => ${number}::bigint, ago => ${ago()}::float8 * interval '1 second',
            coupon_ids => ${arrayOf(counts.map(({ couponId }) => couponId))}::bigint[],
            refused => ${arrayOf(counts.map(({ refused }) => refused))}::integer[],
            replayed => ${arrayOf(counts.map(({ replayed }) => replayed))}::integer[])) as left
        `,
      ).then((rows) => only(rows).left),

    foldDemand: (atMost: number) =>
      operate<{ folded: number }>(
        (sql) => sql`select public.fold_demand(at_most => ${atMost}::integer) as folded`,
      ).then((rows) => only(rows).folded),

    foldGrants: (atMost: number) =>
      operate<{ copied: number }>(
        (sql) => sql`select public.fold_grants(at_most => ${atMost}::integer) as copied`,
      ).then((rows) => only(rows).copied),
  };
}

/** The arguments of a function that writes to the audit. */
export function noted(sql: postgres.Sql, { reason, actor }: Note) {
  return sql`reason => ${reason ?? null}::text, actor => ${actor}::text`;
}

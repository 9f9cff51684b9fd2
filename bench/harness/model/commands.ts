/** What is asked of the service and its model, and the instants of it. */
import { noonZone } from "../noon.ts";

/** So many characters that no date fits behind it in a code. */
export const LONG_CODE = "L".repeat(60);

export type Metadata = Record<string, string>;

export type Command =
  | {
      call: "create_coupon";
      code: string;
      message: string;
      start: number;
      expiry: number;
      count: number;
      reason?: string | null;
    }
  | { call: "issue_coupon"; user: number; coupon: number }
  | { call: "issue_coupons"; users: number[]; coupon: number }
  | { call: "use_coupon"; user: number; coupon: number; reference: string }
  // Late: it means an earlier use than the one that is there.
  | { call: "undo_use"; user: number; coupon: number; till: string | null; isLate?: boolean }
  | { call: "use_claim"; user: number; coupon: number; reference: string; till: string; secret?: number }
  | {
      call: "undo_claim";
      user: number;
      coupon: number;
      till: string | null;
      secret?: number;
      isLate?: boolean;
    }
  | { call: "pause_coupon"; coupon: number; reason: string | null }
  | { call: "resume_coupon"; coupon: number; reason: string | null }
  | { call: "set_coupon_count"; coupon: number; count: number }
  | { call: "set_coupon_expiry"; coupon: number; expiry: number }
  | { call: "set_coupon_start"; coupon: number; start: number }
  | { call: "set_coupon_group"; coupon: number; group: string | null; from: number | null }
  | {
      call: "edit_coupon";
      coupon: number;
      code: string | null;
      message: string | null;
      description: string | null;
      metadata: Metadata | null;
    }
  | { call: "withdraw_coupon"; coupon: number }
  | {
      call: "set_plan_entry";
      ahead: number;
      slot: number;
      pattern: string;
      hour: number;
      count: number;
      isBrief?: true;
    }
  | { call: "remove_plan_entry"; ahead: number; slot: number }
  | { call: "fill_days"; ahead: number }
  | { call: "preview_days"; ahead: number }
  | { call: "copy_day"; from: number; to: number }
  | { call: "wallet"; user: number; page: number }
  | { call: "live_coupons" }
  | { call: "upcoming_coupons" }
  | { call: "find_coupon"; code: string }
  | {
      call: "list_coupons";
      state: State | null;
      since: number | null;
      before: number | null;
      prefix: string;
      page: number;
    }
  | { call: "coupon_stats"; coupon: number }
  | { call: "coupon_timeline"; coupon: number }
  | { call: "import_users"; users: number[]; name: string }
  | { call: "add_to_group"; group: string; users: number[] }
  | { call: "remove_from_group"; group: string; users: number[] }
  | { call: "list_group"; group: string }
  | { call: "list_plan" }
  | { call: "list_users"; after: number; page: number }
  | { call: "list_grants"; coupon: number; after: number; page: number }
  | { call: "daily_summary"; ago: number; days: number }
  | { call: "fold_grants" }
  | { call: "retire_coupons"; ago: number; most: number; isBusy: boolean }
  | { call: "list_groups"; after: string | null; page: number }
  | { call: "forget_user"; user: number }
  | { call: "resolve_subjects"; issuer: string; subjects: string[]; creating: boolean }
  | { call: "find_subjects"; subject: string }
  | { call: "forget_subject"; issuer: string; subject: string }
  | { call: "record_key"; key: string; name: string }
  | { call: "revoke_key"; key: string }
  | { call: "list_keys" }
  | { call: "revoked_keys" }
  | { call: "forget_subjects" }
  | { call: "import_incoming_users"; users: number[]; name: string }
  | { call: "coupon_status" }
  | { call: "claim_secrets" }
  | { call: "rotate_claim_secret" }
  | { call: "retire_claim_secret"; secret: number }
  | { call: "set_webhook"; webhook: string; url: string; types: string[] }
  | { call: OfWebhook; webhook: string }
  | { call: "list_webhooks" }
  | { call: "count_demand"; sender: number; number: number; asked: Asked[] }
  | { call: "fold_demand"; most: number }
  | { call: "demand_ages" }
  | { call: "subjects_age" }
  | { call: "midnight" }
  | { call: "begin_early"; coupon: number }
  | { call: "expire"; coupon: number }
  | { call: "long_ago"; coupon: number };

export type OfWebhook =
  | "remove_webhook"
  | "rotate_webhook_secret"
  | "enable_webhook"
  | "disable_webhook"
  | "webhook_target";

export type Row = Record<string, unknown>;

/** What a server counted of a coupon. */
export interface Asked {
  coupon: number;
  refused: number;
  replayed: number;
}

/** What is done by hand, past the functions: it changes what there is, and nothing happened. */
export const BY_HAND = [
  "midnight",
  "begin_early",
  "expire",
  "long_ago",
  "demand_ages",
  "subjects_age",
] as const;

export const STATES = ["upcoming", "ended", "paused", "sold_out", "live"] as const;
export type State = (typeof STATES)[number];

/** Milliseconds; every instant is days away from now, so that no answer depends on when it was asked. */
export const DAY = 86_400_000;
export const NOW = Date.now();
export const LAST_NIGHT = NOW - DAY / 2;
/** So many days is what becomes old at once, and an expiry of then is of the past that can be retired. */
export const LONG_AGO = 45;
/** When a coupon of long ago expired: each at another moment, since they are retired in that order. */
export const longAgo = (coupon: number) => NOW - (LONG_AGO - 5) * DAY + coupon * 1_000;
/** The least number of days ago of what retire_coupons() takes. */
export const RETIRABLE = 33;

/** The zone of the service, in which it is noon: so midnight comes by command only. */
export const NOON = noonZone(NOW);

/** The day of an instant, there. */
export function dayOf(ms: number): string {
  return new Date(ms + NOON.ahead).toISOString().slice(0, 10);
}

export function midnightOf(day: string): number {
  return Date.parse(day) - NOON.ahead;
}

export function dayAgo(days: number): string {
  return dayOf(NOW - days * DAY);
}

/** Since when a group may have what begins early. */
export const EARLY = NOW - 250 * DAY;
/** Of a timeline, in days. */
export const BUCKET = 366;
export const OFFER_DAYS = [-200, -100, 100, 150].map((days) => NOW + days * DAY);
/** A minute after a start on offer too: of the later ones of that day, which can be had for less. */
export const EXPIRIES = [-150, -50, 50, 200, 300]
  .map((days) => NOW + days * DAY)
  .concat([100, 150].map((days) => NOW + days * DAY + 60_000));
/** So many days ago demand becomes that has aged: more than 32, so that it can be folded. */
export const AGED = 40;

/** What every run begins with: two coupons to be had, and one that is sold out since yesterday. */
export const OPENING: Command[] = [
  { call: "import_users", users: [1, 2, 3, 4], name: "Ann" },
  {
    call: "create_coupon",
    code: "A",
    message: "m",
    start: NOW - 200 * DAY,
    expiry: NOW + 50 * DAY,
    count: 2,
  },
  {
    call: "create_coupon",
    code: "B",
    message: "m",
    start: NOW - 100 * DAY,
    expiry: NOW + 50 * DAY,
    count: 1,
  },
  {
    call: "create_coupon",
    code: "C",
    message: "m",
    start: NOW - 200 * DAY + 1,
    expiry: NOW + 50 * DAY,
    count: 3,
  },
  { call: "issue_coupons", users: [3, 1, 2], coupon: 3 },
  { call: "midnight" },
];

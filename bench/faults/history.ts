/**
 * What a run under faults leaves: every attempt of every request as its client saw it, every fault, and what the database
 * says at the end. All instants are ms on one monotonic clock, the client's.
 */

import type { Stall } from "../harness/stalls.ts";

/** Users from here on are nobody that the service knows. */
export const STRANGERS = 1_000_000_000;

/** The group that may have a coupon early; history.members are in it. */
export const EARLY_GROUP = "regulars";

/** What an attempt came to, for the one who asked. */
export type Answer =
  /**
   * Done, by this attempt or an earlier one of the same request: issued, already_issued; used; changed, unchanged. `at`: of a grant or a use,
   * also of one that is taken back. `coupon`: of create. `days`: of fill, the coupon of each day.
   */
  | {
      is: "ok";
      outcome: string;
      position?: number;
      at?: string;
      coupon?: number;
      days?: Record<string, number>;
    }
  /** Refused for good: sold_out, daily_limit_reached, not_issued, already_used … `at`: since when it is sold out. */
  | { is: "refused"; outcome: string; at?: string }
  /** Not now, and nothing was done: overloaded, database_unavailable, draining; unreachable, where nothing listened. */
  | { is: "undone"; outcome: string }
  /** Done or not: outcome_unknown; lost, deadline, hung_up, where no answer came. */
  | { is: "unknown"; outcome: string }
  /** Nothing that the contract knows. */
  | { is: "wrong"; outcome: string };

/** What is asked for. */
export type Ask =
  | { kind: "issue"; coupon: number; user: number }
  | { kind: "use"; coupon: number; user: number; reference: string }
  /** A till uses it, by its claim code, and takes its use back: the one whose time it was told. Tills number their slips alike. */
  | { kind: "scan"; coupon: number; user: number; till: number; claim: string; reference: string }
  | { kind: "undo"; coupon: number; user: number; till: number; claim: string; used: string }
  | { kind: "forget"; user: number }
  | { kind: "restock"; coupon: number; count: number }
  | NewCoupon
  | { kind: "edit"; coupon: number; message: string }
  | { kind: "move"; coupon: number; start: number }
  /** It is EARLY_GROUP's from then on, ms since 1970. */
  | { kind: "early"; coupon: number; from: number }
  | { kind: "withdraw"; coupon: number }
  /** What a weekday (1: Monday) offers all day long. The message is another one each time. */
  | { kind: "plan"; weekday: number; message: string; count: number }
  /** Until this day, YYYY-MM-DD; and those that expired before it, so many grants a step. */
  | { kind: "fill"; last: string }
  | { kind: "retire"; before: string; most: number };

/** `start` and `end` are ms since 1970. The message is another one each time, so that no two requests are the same. */
export interface NewCoupon {
  kind: "create";
  code: string;
  message: string;
  start: number;
  end: number;
  count: number;
}

export interface Attempt {
  /** The same for all attempts of a request. */
  request: number;
  ask: Ask;
  invokedAt: number;
  answeredAt: number;
  answer: Answer;
}

/** One stroke of a fault. */
interface Stroke {
  from: number;
  /** When it was taken back. */
  until: number;
  /** When the service had granted and used again after it; Infinity when it did not within the bound. */
  wellAt: number;
  /** The server itself stood still or was gone: what it did not answer meanwhile isn't its fault. */
  isServers: boolean;
}

export interface History {
  seed: number;
  /** When the clock of all instants began, in ms since 1970. */
  epoch: number;
  /** Each coupon's count at the beginning. */
  counts: Map<number, number>;
  /** The users who are in EARLY_GROUP, from one to another; undefined: nobody. */
  members: { first: number; last: number } | undefined;
  /** Coupons of long ago, and how many grants each had. */
  old: Map<number, number>;
  attempts: Attempt[];
  strokes: Stroke[];
  /** Resident memory of the server, MB, after each stroke that it survived. */
  memory: number[];
  /** Servers that ended without being told to. */
  deaths: string[];
  /** When the clients' own process did not run. */
  stalls: Stall[];
  /** Every server told the database all that it had answered, before that was read. */
  isCounted: boolean;
}

/** As coupon_owner reads it, past all functions. */
export interface FinalState {
  /** start, from (of a group; null: nobody's early): ms since 1970. */
  coupons: {
    coupon: number;
    count: number;
    issued: number;
    asked: number;
    sold_out_at: string | null;
    message: string;
    start: number;
    from: number | null;
  }[];
  grants: {
    coupon: number;
    user: number;
    position: number;
    issued_on: string;
    issued_at: string;
    used_date: string | null;
    use_reference: string | null;
  }[];
  /** What the audit tells of uses and of those that were taken back, in its order. */
  uses: { coupon: number; user: number; reference: string; used_date: string; isUndo: boolean }[];
  /** Tables in which the name of somebody is, or the slip of a till, who was asked to be forgotten. */
  traces: { user: number; place: string }[];
  /** Of the coupons of long ago: the grants that are there, and those of which only a sum is left. */
  old: { coupon: number; isRetired: boolean; grants: number; moved: number }[];
  /** Rows of reconcile(), as text. */
  broken: string[];
}

export function newHistory(seed: number, counts: ReadonlyMap<number, number>): History {
  return {
    ...{ seed, epoch: performance.timeOrigin, counts: new Map(counts), members: undefined, old: new Map() },
    ...{ attempts: [], strokes: [], memory: [], deaths: [], stalls: [], isCounted: false },
  };
}

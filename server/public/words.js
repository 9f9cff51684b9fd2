/** Everything that a person reads which isn't in the page already: outcomes, errors, amounts and times in words. */
import { CouponError } from "./client.js";

/**
 * @template {import("../api/outcomes.ts").Command} C
 * @typedef {import("../api/outcomes.ts").Outcome<C>} Outcome
 */

/** @typedef {{ position?: number, count?: number, starts_in?: number | undefined }} Known */

/** What became of a claim. The compiler sees to it that none is missing. */
export const CLAIMED = /** @satisfies {Record<Outcome<"issue_coupon">, (known: Known) => string>} */ ({
  coupon_not_found: () => "There is no such coupon any more.",
  already_issued: ({ position, count }) => `You have it already: number ${ofCount(position, count)}.`,
  not_started: ({ starts_in }) =>
    starts_in ? `It hasn't started: ${inWords(starts_in)} to go.` : "It hasn't started.",
  ended: () => "It has ended.",
  paused: () => "It is paused for the moment. It may go on: look again.",
  sold_out: ({ count }) =>
    `All ${count === undefined ? "" : `${amount(count)} `}are gone: others were faster.`,
  user_not_found: () => "The shop doesn't know this user. Be another one.",
  daily_limit_reached: () => "You got a coupon today already. Tomorrow you can get another one.",
  issued: ({ position, count }) => `You got number ${ofCount(position, count)}.`,
});

/** What became of a use. */
export const USED =
  /** @satisfies {Record<Outcome<"use_coupon">, (known: { used_date?: string }) => string>} */ ({
    coupon_not_found: () => "There is no such coupon any more.",
    not_issued: () => "You don't have this coupon.",
    already_used: ({ used_date }) => `You used it before${used_date ? `: ${moment(used_date)}` : ""}.`,
    expired: () => "It ended before you used it.",
    used: () => "It is used. Enjoy!",
  });

/** What became of a new coupon, and which field is in the way. */
export const CREATED =
  /** @satisfies {Record<Outcome<"create_coupon">, [text: string, member?: string]>} */ ({
    already_created: ["This very coupon is there already."],
    code_taken: ["Another coupon has this code.", "code"],
    start_time_taken: ["Another coupon of that day starts at this time.", "start_time"],
    count_taken: ["Another coupon of that day has this many units.", "count"],
    day_full: ["That day has three coupons already. Take another day.", "start_time"],
    created: ["The coupon is on offer."],
  });

export const PAUSED = /** @satisfies {Record<Outcome<"pause_coupon">, string>} */ ({
  coupon_not_found: "There is no such coupon any more.",
  already_paused: "It is paused already.",
  paused: "It is paused: nobody gets it until it is resumed.",
});

export const RESUMED = /** @satisfies {Record<Outcome<"resume_coupon">, string>} */ ({
  coupon_not_found: "There is no such coupon any more.",
  not_paused: "It is not paused.",
  resumed: "It is resumed.",
});

/** What became of a restock, and which field is in the way. */
export const RESTOCKED =
  /** @satisfies {Record<Outcome<"set_coupon_count">, (known: { issued?: number, remaining?: number }) => [text: string, member?: string]>} */ ({
    coupon_not_found: () => ["There is no such coupon any more."],
    unchanged: () => ["It has that many units already."],
    below_issued: ({ issued = 0 }) => [`${amount(issued)} are issued already: not below that.`, "count"],
    count_taken: () => ["Another coupon of that day has this many units.", "count"],
    changed: ({ issued = 0, remaining = 0 }) => [
      `It has ${amount(issued + remaining)} units now, ${amount(remaining)} of them left.`,
    ],
  });

/** An outcome of a request to issue, for a table. */
export const TOLD = /** @satisfies {Record<Outcome<"issue_coupon">, string>} */ ({
  issued: "Issued",
  already_issued: "Had it already",
  sold_out: "Sold out",
  not_started: "Not started",
  paused: "Paused",
  ended: "Ended",
  daily_limit_reached: "Had one that day",
  user_not_found: "No such user",
  coupon_not_found: "No such coupon",
});

/** @type {Record<import("../api/contract.ts").AnswerOf<"couponStatus">["coupons"][number]["state"], string>} */
export const STATE = {
  upcoming: "Upcoming",
  ended: "Ended",
  paused: "Paused",
  sold_out: "Sold out",
  live: "Live",
};

/**
 * Why a call has no result, in words.
 * @param {unknown} error
 */
export function whatFailed(error) {
  if (!(error instanceof CouponError)) return "Something in this page went wrong.";
  switch (error.outcome) {
    case "connection_lost":
      return "There is no connection. Nothing is lost: press again, it counts once.";
    case "overloaded":
    case "database_unavailable":
    case "keys_unavailable":
      return "The shop is very busy and nothing was done. Press again, it counts once.";
    case "outcome_unknown":
      return "It may be done or not. Press again to know, it counts once.";
    case "unauthenticated":
      return "The shop no longer knows who you are. Sign in and press again.";
    case "forbidden":
      return "This is not for you to do.";
    default:
      return error.detail;
  }
}

const numbers = new Intl.NumberFormat("en");
const moments = new Intl.DateTimeFormat("en-GB", {
  weekday: "short",
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});

/** @param {number} n */
export const amount = (n) => numbers.format(n);

/**
 * In the reader's time zone.
 * @param {string | number} time
 */
export const moment = (time) => moments.format(new Date(time));

/**
 * @param {number | undefined} position
 * @param {number | undefined} count
 */
export function ofCount(position = 0, count) {
  return count === undefined ? amount(position) : `${amount(position)} of ${amount(count)}`;
}

/**
 * As a countdown shows it: 5:09, 2:05:09, 1 day 2:05:09. It says 0:01 during the last second, and 0:00 when that is over.
 * @param {number} ms
 */
export function countdown(ms) {
  const [days, hours, minutes, seconds] = split(ms / 1000);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const clock = days + hours > 0 ? `${hours}:${two(minutes)}` : `${minutes}`;
  return `${days > 0 ? `${days} day${days > 1 ? "s" : ""} ` : ""}${clock}:${two(seconds)}`;
}

/**
 * The two largest parts of it.
 * @param {number} total seconds
 */
export function inWords(total) {
  const units = ["d", "h", "min", "s"];
  const parts = split(total).map((n, i) => [n, units[i]]);
  const first = Math.max(
    0,
    parts.findIndex(([n]) => n !== 0),
  );
  return parts
    .slice(first, first + 2)
    .filter(([n]) => n !== 0)
    .map((part) => part.join(" "))
    .join(" ");
}

/**
 * @param {number} total seconds
 * @returns {[days: number, hours: number, minutes: number, seconds: number]}
 */
function split(total) {
  const whole = Math.max(0, Math.ceil(total));
  return [Math.floor(whole / 86_400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
}

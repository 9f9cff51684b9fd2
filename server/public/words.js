/** Everything that a person reads which isn't in the page already: outcomes, errors, amounts and times in words. */
import { CouponError } from "./client.js";

/**
 * @template {import("../api/outcomes.ts").Command} C
 * @typedef {import("../api/outcomes.ts").Outcome<C>} Outcome
 */

/**
 * @typedef {{ position?: number, count?: number, starts_in?: number | undefined, time_to_sell_out?: number | undefined,
 *   eligible_from?: string | null }} Known
 */

/**
 * @param {number} seconds
 * @param {string | null | undefined} eligible_from From then on the members of a group could have it.
 */
export const afterStart = (seconds, eligible_from) =>
  `${lasting(seconds)} after the ${eligible_from ? "group's start" : "start"}`;

/** Nobody was let past. */
const IN_TURN = "Units went in order of arrival.";

/** What became of a claim. The compiler sees to it that none is missing. */
export const CLAIMED = /** @satisfies {Record<Outcome<"issue_coupon">, (known: Known) => string>} */ ({
  coupon_not_found: () => "This coupon no longer exists.",
  already_issued: ({ position, count }) => `You already have it: number ${ofCount(position, count)}.`,
  not_started: ({ starts_in }) =>
    starts_in ? `It starts in ${inWords(starts_in)}.` : "It hasn't started yet.",
  ended: () => "It has ended.",
  paused: () => "It is paused. It may continue: try again later.",
  sold_out: ({ count, time_to_sell_out: after, eligible_from }) =>
    after === undefined
      ? `All ${count === undefined ? "" : `${amount(count)} `}are gone: others were faster. ${IN_TURN}`
      : `Sold out ${afterStart(after, eligible_from)}: others were faster. ${IN_TURN}`,
  user_not_found: () => "The shop doesn't know this user. Choose another one.",
  daily_limit_reached: () => "You already got a coupon today. You can get another one tomorrow.",
  issued: ({ position, count }) => `You got number ${ofCount(position, count)}.`,
});

/**
 * The same, once it is known how many asked.
 * @param {{ time_to_sell_out: number | null, eligible_from: string | null, issued: number, asked: number }} offer
 */
export const tooLate = ({ time_to_sell_out, eligible_from, issued, asked }) =>
  `Sold out ${afterStart(time_to_sell_out ?? 0, eligible_from)}; ${amount(issued)} of ${amount(asked)} requests were first. ${IN_TURN}`;

/** What became of a use. */
export const USED =
  /** @satisfies {Record<Outcome<"use_coupon">, (known: { used_date?: string }) => string>} */ ({
    coupon_not_found: () => "This coupon no longer exists.",
    not_issued: () => "You don't have this coupon.",
    user_not_found: () => "The shop doesn't know this user any more.",
    already_used: ({ used_date }) => `You used it before${used_date ? `: ${moment(used_date)}` : ""}.`,
    expired: () => "It expired before you used it.",
    used: () => "Used. Enjoy!",
  });

/** What became of a new coupon, and which field is in the way. */
export const CREATED =
  /** @satisfies {Record<Outcome<"create_coupon">, [text: string, member?: string]>} */ ({
    already_created: ["This coupon already exists."],
    already_withdrawn: ["It was created and withdrawn. To create it again, say why.", "reason"],
    code_taken: ["Another coupon has this code.", "code"],
    in_the_past: ["It would be over already.", "expiry"],
    start_time_taken: ["Another coupon of that day starts at this time.", "start_time"],
    count_taken: ["Another coupon of that day has this many units.", "count"],
    day_full: ["That day already has three coupons. Choose another day.", "start_time"],
    created: ["The coupon is created."],
  });

export const PAUSED = /** @satisfies {Record<Outcome<"pause_coupon">, string>} */ ({
  coupon_not_found: "This coupon no longer exists.",
  already_paused: "It is already paused.",
  paused: "It is paused: nobody can get it until you resume it.",
});

export const RESUMED = /** @satisfies {Record<Outcome<"resume_coupon">, string>} */ ({
  coupon_not_found: "This coupon no longer exists.",
  not_paused: "It is not paused.",
  resumed: "It is resumed.",
});

/** What became of a restock, and which field is in the way. */
export const RESTOCKED =
  /** @satisfies {Record<Outcome<"set_coupon_count">, (known: { issued?: number, remaining?: number }) => [text: string, member?: string]>} */ ({
    coupon_not_found: () => ["This coupon no longer exists."],
    unchanged: () => ["It already has this number of units."],
    below_issued: ({ issued = 0 }) => [
      `${amount(issued)} are already issued: the count cannot be lower.`,
      "count",
    ],
    count_taken: () => ["Another coupon of that day has this many units.", "count"],
    changed: ({ issued = 0, remaining = 0 }) => [
      `It has ${amount(issued + remaining)} units now, ${amount(remaining)} of them left.`,
    ],
  });

/** What became of a correction of the code and the texts, and which field is in the way. */
export const EDITED = /** @satisfies {Record<Outcome<"edit_coupon">, [text: string, member?: string]>} */ ({
  coupon_not_found: ["This coupon no longer exists."],
  unchanged: ["It is so already."],
  already_started: ["It has started: its code stays. The texts can change.", "code"],
  code_taken: ["Another coupon has this code.", "code"],
  changed: ["It is corrected."],
});

/** What became of another start. */
export const MOVED =
  /** @satisfies {Record<Outcome<"set_coupon_start">, [text: string, member?: string]>} */ ({
    coupon_not_found: ["This coupon no longer exists."],
    unchanged: ["It starts then already."],
    already_started: ["It has started already.", "start_time"],
    in_the_past: ["This time is over.", "start_time"],
    not_after_eligible_from: ["A group may have it then: change that first.", "start_time"],
    not_before_expiry: ["It ends before that: change its end first.", "start_time"],
    start_time_taken: ["Another coupon starts at this time.", "start_time"],
    count_taken: ["Another coupon of that day has as many units.", "start_time"],
    day_full: ["That day already has three coupons. Choose another day.", "start_time"],
    changed: ["It has another start."],
  });

/** What became of another end. */
export const ENDING =
  /** @satisfies {Record<Outcome<"set_coupon_expiry">, [text: string, member?: string]>} */ ({
    coupon_not_found: ["This coupon no longer exists."],
    unchanged: ["It ends then already."],
    not_after_start: ["It starts after that.", "expiry"],
    in_the_past: ["This time is over. Pause it to end it at once.", "expiry"],
    changed: ["It has another end, and so has what people hold of it."],
  });

export const WITHDRAWN =
  /** @satisfies {Record<Outcome<"withdraw_coupon">, (known: { issued?: number | null }) => string>} */ ({
    coupon_not_found: () => "This coupon no longer exists.",
    already_withdrawn: () => "It is withdrawn already.",
    has_grants: ({ issued }) =>
      `${amount(issued ?? 0)} are issued, and stay. Pause it, or change its end or its units.`,
    withdrawn: () => "It is withdrawn. Its code and its place are free.",
  });

/** What became of a person who is to be forgotten, and which field is in the way. */
export const FORGOTTEN =
  /** @satisfies {Record<Outcome<"forget_user">, [text: string, member?: string]>} */ ({
    user_not_found: ["There is no such user, and never was.", "user_id"],
    already_forgotten: ["was forgotten before."],
    forgotten: ["is forgotten. The number and its coupons stay."],
  });

/** What was done although it may be a mistake. */
export const WARNED = {
  short_lived: "People can get it for less than a minute.",
  already_started: "It has started already: people can get it now.",
  empty_group: "The group has no members yet.",
};

/** What was done, by the function's name in the audit; what is not here is told by that name. */
export const DONE = /** @type {Record<string, string>} */ ({
  create_coupon: "Created",
  edit_coupon: "Texts corrected",
  set_coupon_start: "Start moved",
  set_coupon_expiry: "End moved",
  set_coupon_count: "Units changed",
  set_coupon_group: "Group set",
  pause_coupon: "Paused",
  resume_coupon: "Resumed",
  withdraw_coupon: "Withdrawn",
  use_coupon: "Used",
  undo_use: "Use taken back",
  import_users: "Users imported",
  add_to_group: "Put into a group",
  remove_from_group: "Taken out of a group",
  set_time_zone: "Time zone set",
  set_plan_entry: "Planned",
  remove_plan_entry: "Taken out of the plan",
  forget_user: "Forgotten",
  retire_coupons: "Retired",
  rotate_claim_secret: "Secret of claim codes renewed",
  retire_claim_secret: "Secret of claim codes retired",
  set_webhook: "Webhook set",
  rotate_webhook_secret: "Secret of a webhook renewed",
  enable_webhook: "Webhook enabled",
  disable_webhook: "Webhook disabled",
  remove_webhook: "Webhook removed",
  resend_webhook: "Sent to a webhook again",
  record_key: "Key recorded",
  revoke_key: "Key revoked",
});

/** An outcome of a request to issue, for a table. */
export const TOLD = /** @satisfies {Record<Outcome<"issue_coupon">, string>} */ ({
  issued: "Issued",
  already_issued: "Already held",
  sold_out: "Sold out",
  not_started: "Not started",
  paused: "Paused",
  ended: "Ended",
  daily_limit_reached: "Daily limit reached",
  user_not_found: "No such user",
  coupon_not_found: "No such coupon",
});

/** @type {Record<import("../api/contract-types.ts").AnswerOf<"couponStatus">["coupons"][number]["state"], string>} */
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
  if (!(error instanceof CouponError)) return "Something went wrong in this page.";
  switch (error.outcome) {
    case "connection_lost":
      return "There is no connection. Press again: it counts only once.";
    case "overloaded":
    case "database_unavailable":
    case "writes_stalled":
    case "keys_unavailable":
      return "The shop is very busy, and nothing was done. Press again: it counts only once.";
    case "outcome_unknown":
      return "We don't know whether it was done. Press again to find out: it counts only once.";
    case "unauthenticated":
      return "The shop no longer knows who you are. Sign in and press again.";
    case "forbidden":
      return "You are not allowed to do this.";
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

const momentsOfAnotherYear = new Intl.DateTimeFormat("en-GB", {
  ...{ weekday: "short", day: "numeric", month: "short", year: "numeric" },
  ...{ hour: "2-digit", minute: "2-digit" },
});
const instants = new Intl.DateTimeFormat("en-GB", {
  ...{ day: "numeric", month: "short", year: "numeric" },
  ...{ hour: "2-digit", minute: "2-digit", second: "2-digit" },
});
const precise = new Intl.DateTimeFormat("en-GB", {
  ...{ day: "numeric", month: "short", year: "numeric" },
  ...{ hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 },
});
const days = new Intl.DateTimeFormat("en-GB", {
  ...{ weekday: "short", day: "numeric", month: "short", year: "numeric" },
  timeZone: "UTC",
});
const percents = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });

/** @param {number} n */
export const amount = (n) => numbers.format(n);

/** @param {number} share From 0 to 1. */
export const percent = (share) => percents.format(share);

/** The reader's time zone, like Europe/Berlin. */
export const zone = instants.resolvedOptions().timeZone;

/**
 * Of a record: with its year and second, in the reader's time zone.
 * @param {string | number} time
 */
export const instant = (time) => instants.format(new Date(time));

/**
 * The same, to the millisecond.
 * @param {string | number} time
 */
export const precisely = (time) => precise.format(new Date(time));

/**
 * How long something lasted: to the millisecond below a minute, else its two largest parts.
 * @param {number} total seconds
 */
export const lasting = (total) => (Math.abs(total) < 60 ? `${Number(total.toFixed(3))} s` : inWords(total));

/**
 * A day as the service counts days, whatever the reader's time zone.
 * @param {string} day Like 2026-11-22.
 */
export const dayName = (day) => days.format(new Date(`${day}T00:00:00Z`));

/**
 * In the reader's time zone; with the year when it is another one than at `now`.
 * @param {string | number} time
 */
export function moment(time, now = Date.now()) {
  const date = new Date(time);
  const isThisYear = date.getFullYear() === new Date(now).getFullYear();
  return (isThisYear ? moments : momentsOfAnotherYear).format(date);
}

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
  if (total <= 0) return "0 s";
  const units = ["d", "h", "min", "s"];
  const parts = split(total).map((n, i) => [n, units[i]]);
  const first = parts.findIndex(([n]) => n !== 0);
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

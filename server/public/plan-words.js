/** What an operator reads of the plan, and of the days that are filled by it. */

/**
 * @template {import("../api/outcomes.ts").Command} C
 * @typedef {import("../api/outcomes.ts").Outcome<C>} Outcome
 */

/** What became of an entry of the plan, and which field is in the way. */
export const PLANNED =
  /** @satisfies {Record<Outcome<"set_plan_entry">, [text: string, member?: string]>} */ ({
    unchanged: ["It is planned so already."],
    code_taken: ["Another coupon of that weekday has this code.", "code_pattern"],
    start_time_taken: ["Another coupon of that weekday starts at this time.", "local_start"],
    count_taken: ["Another coupon of that weekday has as many units.", "count"],
    planned: ["It is planned, for days that are not filled yet."],
  });

export const REMOVED = /** @satisfies {Record<Outcome<"remove_plan_entry">, string>} */ ({
  not_planned: "Nothing is planned there.",
  removed: "It is no longer planned. Coupons that were made stay.",
});

/**
 * What becomes of a coupon that a day is to have.
 * @type {Record<import("../api/contract-types.ts").AnswerOf<"fillDays">["coupons"][number]["outcome"], string>}
 */
export const FILLED = {
  already_made: "Was made before",
  in_the_past: "Not made: its start is over",
  not_after_start: "Not made: it would end before it starts, as clocks are changed",
  code_too_long: "Not made: its code would be too long",
  code_taken: "Not made: another coupon has this code",
  start_time_taken: "Not made: another coupon starts at this time",
  count_taken: "Not made: another coupon of that day has as many units",
  day_full: "Not made: that day already has three coupons",
  made: "Is made",
};

/** By their numbers: 1 is Monday. */
export const WEEKDAYS = ["", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

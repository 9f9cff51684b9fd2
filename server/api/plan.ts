/** The part of the contract that is about the plan: its shapes, and its operations. */
import { z } from "zod";
import { at, day, offered, slot } from "./answers.ts";
import { ADMIN, MAX_COUPON_BODY } from "./changes.ts";
import * as requests from "./requests.ts";
import {
  anyString,
  code,
  count,
  couponId,
  description,
  MAX_COUNT,
  message,
  reason,
  text,
  warning,
  wholeBetween,
} from "./values.ts";

/** What becomes of a coupon that a day is to have, in order of precedence. */
const FILLED = [
  "already_made",
  "in_the_past",
  "not_after_start",
  "code_too_long",
  "code_taken",
  "start_time_taken",
  "count_taken",
  "day_full",
  "made",
] as const;

const LOCAL_TIME = /^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$/;
const localTime = (description: string, example: string) =>
  anyString.regex(LOCAL_TIME, "must be a time of day like 11:00").meta({
    instead: { type: "string", pattern: LOCAL_TIME.source },
    description,
    examples: [example],
  });

const weekday = wholeBetween(1, 7).meta({
  description: "1 is Monday, 7 is Sunday.",
  examples: [1],
});
const entrySlot = wholeBetween(1, 3).meta({
  description: "Which of the three entries of the weekday.",
  examples: [1],
});

const entry = {
  weekday,
  slot: entrySlot,
  code_pattern: text(1, 200).meta({
    description:
      "The coupon's code, with the whole day in it: {date} is 20261130, {year} 2026, {month} 11, {day} 30, {weekday} MON, {slot} the slot.",
    examples: ["LUNCH-{date}"],
  }),
  message,
  description,
  local_start: localTime("When it starts, by the clocks of the service's time zone.", "11:00"),
  local_expiry: localTime("When it expires, by the same clocks.", "14:30"),
  expiry_days: wholeBetween(0, 365)
    .default(0)
    .meta({ description: "Days from the day of the start to that of the expiry.", examples: [0] }),
  count,
};

const planEntry = z.strictObject({
  ...entry,
  metadata: requests.newCoupon.shape.metadata
    .unwrap()
    .optional()
    .meta({ description: "Stays as it is, unless it is given; of a new entry it is empty." }),
  reason: reason.optional(),
});
const whichEntry = z.strictObject({ weekday, slot: entrySlot, reason: reason.optional() });
const daysToPreview = z.strictObject({
  first_day: requests.optionalDay("Today, unless it is given."),
  last_day: requests.optionalDay("13 days after first_day, unless it is given; at most 90."),
});
const daysToFill = z.strictObject({
  last_day: requests.optionalDay("13 days from now, unless it is given; at most 90."),
  reason: reason.optional(),
});
const daysToCopy = z.strictObject({
  from_day: requests.dayText("The day whose coupons are made again."),
  to_day: requests.dayText("The day for which they are made."),
  reason: reason.optional(),
});

const planned = z.strictObject({
  weekday,
  slot: entrySlot,
  taken_by_slot: slot.nullable().meta({ description: "The entry that is in the way.", examples: [null] }),
  warning: warning.nullable(),
});
const removed = z.strictObject({ weekday, slot: entrySlot });
const plan = z.strictObject({
  entries: z.array(
    z.strictObject({
      ...entry,
      code_pattern: z.string().meta({ examples: ["LUNCH-{date}"] }),
      ...{ message: offered.shape.message, description: offered.shape.description },
      local_start: z.string().meta({ description: "With seconds.", examples: ["11:00:00"] }),
      local_expiry: z.string().meta({ description: "With seconds.", examples: ["14:30:00"] }),
      expiry_days: z
        .int()
        .min(0)
        .max(365)
        .meta({ examples: [0] }),
      metadata: offered.shape.metadata,
    }),
  ),
});
const filledDays = z.strictObject({
  coupons: z.array(
    z
      .strictObject({
        outcome: z.enum(FILLED).meta({
          description:
            "already_made: whatever became of it since. in_the_past: its start is not to come. not_after_start: its expiry, on a day on which clocks are changed. " +
            "code_too_long: of a copy. code_taken, start_time_taken, count_taken, day_full: this rule it would break. made: of a preview, it would be.",
          examples: ["made"],
        }),
        day: day("The day that it is for."),
        slot: slot.meta({
          description: "The entry of the plan; of a copy, the place of the coupon that it is a copy of.",
        }),
        code: code.nullable().meta({
          description:
            "Of what is already made, this and what follows are as they are now; null if it was withdrawn.",
          examples: ["LUNCH-20261130"],
        }),
        message: offered.shape.message.nullable(),
        description: offered.shape.description.nullable(),
        start_time: at("When it starts.").nullable(),
        expiry: at("When it expires.").nullable(),
        count: z
          .int()
          .min(1)
          .max(MAX_COUNT)
          .nullable()
          .meta({ examples: [25] }),
        metadata: offered.shape.metadata.nullable(),
        coupon_id: couponId.nullable().meta({ description: "The coupon that was made." }),
        taken_by: couponId
          .nullable()
          .meta({ description: "The coupon that is in the way.", examples: [null] }),
        warning: warning.nullable(),
      })
      .meta({ title: "FilledCoupon" }),
  ),
});

export const planning = {
  listPlan: {
    route: "GET /plan",
    tag: "Operating",
    summary: "The plan: what each weekday offers",
    roles: ADMIN,
    answer: plan,
  },
  setPlanEntry: {
    route: "POST /plan",
    tag: "Operating",
    summary: "Say what a weekday offers as one of its three coupons",
    description: "It holds for days that are not filled yet. Coupons that were made stay as they are.",
    roles: ADMIN,
    body: planEntry,
    maxBody: MAX_COUPON_BODY,
    command: "set_plan_entry",
    answer: planned,
  },
  removePlanEntry: {
    route: "POST /plan/remove",
    tag: "Operating",
    summary: "Take an entry out of the plan",
    roles: ADMIN,
    body: whichEntry,
    command: "remove_plan_entry",
    answer: removed,
  },
  previewDays: {
    route: "GET /plan/preview",
    tag: "Operating",
    summary: "What filling days would make, and which rule it would break",
    roles: ADMIN,
    query: daysToPreview,
    answer: filledDays,
  },
  fillDays: {
    route: "POST /plan/fill",
    tag: "Operating",
    summary: "Make the coupons of today and the days to come, as the plan says",
    description:
      "What was made once is not made again. Where one would break a rule, the others are made. The server does it every hour, unless FILL_DAYS is off.",
    roles: ADMIN,
    body: daysToFill,
    answer: filledDays,
  },
  copyDay: {
    route: "POST /plan/copy-day",
    tag: "Operating",
    summary: "Make the coupons of a day again on another day",
    description:
      "At the same local times. In a code the date becomes the new one; a code without a date gets it at its end. The same request again finds them already_made.",
    roles: ADMIN,
    body: daysToCopy,
    answer: filledDays,
  },
} as const;

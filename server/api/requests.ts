/**
 * The shapes of requests: types, presence and sizes. Descriptions and examples are for the OpenAPI document, which is made of these;
 * it says `instead` in place of what zod knows.
 */
import { z } from "zod";
import {
  claimCode,
  code,
  count,
  description,
  displayName,
  idInPath,
  instant,
  isInSql,
  MAX_COUNT,
  MAX_METADATA,
  MAX_METADATA_DEPTH,
  message,
  metadata,
  reason,
  reference,
  STATES,
  text,
  userId,
} from "./values.ts";

export const newCoupon = z.strictObject({
  code,
  message,
  description,
  start_time: instant,
  expiry: instant.meta({ examples: ["2026-11-23T12:00:00Z"] }),
  count,
  metadata: metadata
    .meta({
      instead: { type: "object" },
      description: `Anything of yours: at most ${MAX_METADATA_DEPTH} levels, ${MAX_METADATA} characters as PostgreSQL writes it. Numbers keep all their digits.`,
      examples: [{ campaign: "autumn" }],
    })
    .default({}),
  reason: reason.optional(),
});

/** Who it is for: a user says nothing or itself, a service and an admin must say. */
const forWhom = userId.optional().meta({
  description: "The user to act for. A user may omit it; a service or an admin must give it.",
});
export const forUser = z.strictObject({ user_id: forWhom });
export const use = z.strictObject({ user_id: forWhom, reference });
/** So that a request whose answer was lost can be sent again: it undoes no later use. */
const whichUse = instant.optional().meta({
  description:
    "Which use: the used_date of its answer. Send it: then the same request again undoes no later use. Another use is left alone, and told as not_used.",
});
export const undoUse = z.strictObject({ user_id: userId, reason, used_date: whichUse });
export const useClaim = z.strictObject({ claim_code: claimCode, reference });
export const undoClaim = z.strictObject({ claim_code: claimCode, reason, used_date: whichUse });
export const why = z.strictObject({ reason: reason.optional() });
export const newCount = z.strictObject({ count, reason: reason.optional() });
export const newStart = z.strictObject({ start_time: instant, reason: reason.optional() });
export const edit = z.strictObject({
  code: code.optional(),
  message: message.optional(),
  description: description.optional(),
  metadata: newCoupon.shape.metadata.unwrap().optional(),
  reason: reason.optional(),
});
export const newExpiry = z.strictObject({ expiry: instant, reason: reason.optional() });
export const newUser = z
  .strictObject({ user_id: userId, display_name: displayName }, "must be an object")
  .meta({ title: "NewUser" });
export const newUsers = z.strictObject({
  users: z
    .array(newUser, "must be an array")
    .min(1, "must not be empty")
    .max(10_000, "must have at most 10000 users")
    .refine(
      (users) => new Set(users.map((user) => user.user_id)).size === users.length,
      "must not repeat a user_id",
    ),
  reason: reason.optional(),
});

export const demoCaller = z
  .strictObject({
    role: z.enum(["user", "till", "admin"], "must be user, till or admin"),
    user_id: userId.optional().meta({ description: "The user, if role is user." }),
  })
  .refine(({ role, user_id }) => (role === "user") === (user_id !== undefined), {
    path: ["user_id"],
    error: "goes with role user",
  });

export const nothing = z.strictObject({});
export const couponPath = z.strictObject({ coupon_id: idInPath(7) });
export const userPath = z.strictObject({ user_id: idInPath(42) });
export const byCode = z.strictObject({ code });
export const pageSize = (otherwise: number) =>
  z
    .string()
    .regex(/^[1-9][0-9]{0,3}$/, "must be a whole number from 1 to 1000")
    .transform(Number)
    .pipe(z.number().max(1000, "must be at most 1000"))
    .default(otherwise)
    .meta({ instead: { type: "integer", minimum: 1, maximum: 1000, default: otherwise } });
/** Rows of a page, unless a request says how many. */
export const COUPONS_OF_PAGE = 100;
const optionalInstant = (description: string) => instant.optional().meta({ description });
export const dayText = (description: string) =>
  z.iso
    .date("must be a day like 2026-11-22")
    .refine(isInSql, "must be a day like 2026-11-22")
    .meta({ instead: { type: "string", format: "date" }, description, examples: ["2026-11-22"] });
export const optionalDay = (description: string) => dayText(description).optional();
const nextBefore = "next_before of the previous page.";
export const liveQuery = z.strictObject({
  before: optionalInstant(nextBefore),
  page_size: pageSize(COUPONS_OF_PAGE),
});
export const upcomingQuery = z.strictObject({
  after: optionalInstant("next_after of the previous page."),
  page_size: pageSize(COUPONS_OF_PAGE),
});
export const listQuery = z.strictObject({
  state: z
    .enum(STATES, `must be one of ${STATES.join(", ")}`)
    .optional()
    .meta({ description: "The coupons that are in this state now." }),
  since: optionalInstant("The coupons that start then or later."),
  before: optionalInstant(`The coupons that start earlier; ${nextBefore}`),
  code_prefix: text(1, 64)
    .optional()
    .meta({
      description: "The coupons whose code begins like this, in upper or lower case.",
      examples: ["LUNCH-"],
    }),
  page_size: pageSize(COUPONS_OF_PAGE),
});
export const timelineQuery = z.strictObject({
  bucket: z
    .string()
    .regex(/^[0-9]{1,8}(\.[0-9]{1,3})?$/, "must be a number of seconds")
    .transform(Number)
    .pipe(z.number().min(0.001, "must be at least 0.001").max(31_622_400, "must be at most 31622400"))
    .default(1)
    .meta({
      instead: { type: "number", minimum: 0.001, maximum: 31_622_400, default: 1 },
      description: "Seconds that each bucket lasts, with at most three digits after the point.",
    }),
  since: optionalInstant("The buckets from this one's on."),
  before: optionalInstant("The buckets that begin earlier."),
});
export const summaryQuery = z.strictObject({
  first_day: optionalDay("Six days before last_day, unless it is given; at most 365 days before it."),
  last_day: optionalDay("Today, unless it is given."),
});
export const auditQuery = z.strictObject({
  coupon_id: idInPath(7).optional().meta({ description: "What was done to this coupon." }),
  user_id: idInPath(42).optional().meta({ description: "What was done about this user's uses." }),
  since: optionalInstant("What was done then or later."),
  before: idInPath(7).optional().meta({ description: nextBefore }),
  page_size: pageSize(COUPONS_OF_PAGE),
});
export const walletQuery = z.strictObject({
  before: optionalDay(nextBefore),
  page_size: pageSize(50),
});

export const whyQuery = z.strictObject({ reason: reason.optional() });
const afterUpTo = (max: number) =>
  z.strictObject({
    after: z
      .string()
      .regex(/^(0|[1-9][0-9]{0,15})$/, "must be a whole number")
      .transform(Number)
      .pipe(z.number().max(max, `must be at most ${max}`))
      .prefault("0")
      .meta({
        instead: { type: "integer", minimum: 0, maximum: max, default: 0 },
        description: "next_after of a list that ended early.",
      }),
  });
export const afterUserQuery = afterUpTo(Number.MAX_SAFE_INTEGER);
export const afterPositionQuery = afterUpTo(MAX_COUNT);
/** Grants that one call of retire_coupons() moves out. */
const RETIRED_GRANTS = 5_000;
export const retirement = z.strictObject({
  before: dayText("The coupons that expired before this day; at least 33 days ago."),
  at_most: z
    .int("must be a whole number")
    .min(1, "must be at least 1")
    .max(10_000, "must be at most 10000")
    .default(RETIRED_GRANTS)
    .meta({ description: "Grants that are moved out at once.", examples: [RETIRED_GRANTS] }),
  reason: reason.optional(),
});

/** Of lists of lines. */
export const AS_CSV =
  "With Accept: text/csv it is CSV (RFC 4180) with a header line and without a last line: if it ended early, the connection broke. A text " +
  "that begins with an apostrophe, or as a formula does (= + - @, tab, line end), has an apostrophe in front, and so has what does behind a semicolon, a tab or a line end.";

/**
 * The shapes of requests and answers: types, presence and sizes. What a coupon may do is SQL's to say. Descriptions and
 * examples are for the OpenAPI document, which is made of these; `instead` is said there in place of what zod knows.
 */
import { z } from "zod";

const MAX_METADATA_DEPTH = 5;
/** Units of a coupon. */
const MAX_COUNT = 100_000_000;

/** The bounds come first and end the check: int() has a word of its own on what is too large. */
const whole = (max: number) =>
  z
    .number("must be a number")
    .min(1, { error: "must be at least 1", abort: true })
    .max(max, { error: `must be at most ${max}`, abort: true })
    .int("must be a whole number");

const id = whole(Number.MAX_SAFE_INTEGER);
const couponId = id.meta({ examples: [7] });
const userId = id.meta({ examples: [42] });

/** An id in a path or a query. */
const idText = z
  .string()
  .regex(/^[1-9][0-9]{0,15}$/, "must be a whole number from 1")
  .transform(Number)
  .pipe(id);
const idInPath = (example: number) =>
  idText.meta({
    instead: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    examples: [example],
  });

const text = (min: number, max: number) =>
  z
    .string("must be a string")
    .min(min, min === 1 ? "must not be empty" : `must have at least ${min} characters`)
    // JavaScript counts surrogates, PostgreSQL characters: this bound is never the stricter one.
    .max(max * 2, { error: `must have at most ${max} characters`, abort: true })
    .refine((value) => [...value].length <= max, `must have at most ${max} characters`)
    .refine(isText, "must be valid text")
    .meta({ instead: { type: "string", minLength: min, maxLength: max } });

/** What PostgreSQL can store: no NUL, no half of a surrogate pair. */
export function isText(value: string): boolean {
  return !value.includes("\0") && value.isWellFormed();
}

const instant = z.iso
  .datetime({ offset: true, error: "must be a time like 2026-11-22T10:00:00Z" })
  .max(40, "must have at most 40 characters")
  .meta({
    instead: { type: "string", format: "date-time", maxLength: 40 },
    examples: ["2026-11-22T12:00:00Z"],
  });

/** JSON already, so all that is left to ask is its size; not z.json(), which follows any depth and drops `__proto__`. */
const metadata = z
  .custom<Record<string, unknown>>(
    (value) => typeof value === "object" && value !== null && !Array.isArray(value),
    { error: "must be a JSON object", abort: true },
  )
  .refine((value) => depthOf(value) <= MAX_METADATA_DEPTH, {
    error: `must be at most ${MAX_METADATA_DEPTH} levels deep`,
    abort: true,
  })
  .refine((value) => JSON.stringify(value).length <= 4096, "must have at most 4096 characters")
  .refine(isStorable, "must have valid text and numbers only");

/** How many levels of arrays and objects; stops counting where it is too deep anyway. */
function depthOf(value: unknown, depth = 0): number {
  if (value === null || typeof value !== "object" || depth > MAX_METADATA_DEPTH) return depth;
  return Math.max(depth + 1, ...Object.values(value).map((member) => depthOf(member, depth + 1)));
}

/** No NUL, no half of a surrogate pair, no number beyond a double, which JSON.parse makes infinite. */
function isStorable(value: unknown): boolean {
  if (typeof value === "string") return isText(value);
  if (typeof value === "number") return Number.isFinite(value);
  if (value === null || typeof value !== "object") return true;
  return Object.entries(value).every(([key, member]) => isText(key) && isStorable(member));
}

const code = text(1, 64).meta({
  description: "Unique, in upper or lower case.",
  examples: ["LUNCH-20261122"],
});
const message = text(1, 200).meta({ description: "Shown to users.", examples: ["Free lunch"] });
const description = text(0, 2000).meta({ examples: ["Half price on any lunch, until tomorrow."] });
const count = whole(MAX_COUNT).meta({
  description: "Units that can be issued.",
  examples: [25],
});
const reason = text(1, 500).meta({ description: "Why, for the audit.", examples: ["asked by marketing"] });
const reference = text(1, 200).meta({
  description: "For example the order that the coupon is used for. The same reference again is a replay.",
  examples: ["order-1"],
});
const displayName = text(1, 200).meta({ examples: ["Ann"] });

// ---- Requests -------------------------------------------------------------------------------------------------------

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
      description: `Anything of yours: at most ${MAX_METADATA_DEPTH} levels, 4096 characters.`,
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
export const undoUse = z.strictObject({ user_id: userId, reason });
export const why = z.strictObject({ reason: reason.optional() });
export const newCount = z.strictObject({ count, reason: reason.optional() });
export const newExpiry = z.strictObject({ expiry: instant, reason: reason.optional() });
export const newUser = z.strictObject({ user_id: userId, display_name: displayName }, "must be an object");
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
    role: z.enum(["user", "admin"], "must be user or admin"),
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
const pageSize = (otherwise: number) =>
  z
    .string()
    .regex(/^[1-9][0-9]{0,3}$/, "must be a whole number")
    .transform(Number)
    .pipe(z.number().max(1000, "must be at most 1000"))
    .default(otherwise)
    .meta({ instead: { type: "integer", minimum: 1, maximum: 1000, default: otherwise } });
export const upcomingQuery = z.strictObject({ page_size: pageSize(100) });
export const walletQuery = z.strictObject({
  before: z.iso
    .date("must be a day like 2026-11-22")
    .optional()
    .meta({
      instead: { type: "string", format: "date" },
      description: "next_before of the previous page.",
      examples: ["2026-11-22"],
    }),
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

// ---- Answers --------------------------------------------------------------------------------------------------------

const at = (description: string) =>
  z.string().meta({
    instead: { type: "string", format: "date-time" },
    description,
    examples: ["2026-11-22T12:00:00.004217Z"],
  });
const day = (description: string) =>
  z.string().meta({ instead: { type: "string", format: "date" }, description, examples: ["2026-11-22"] });
const seconds = (description: string) =>
  z.number().meta({ description: `${description}, in seconds.`, examples: [1.5] });
const natural = (description: string, example = 3) =>
  z
    .int()
    .min(0)
    .meta({ description, examples: [example] });

const serverTime = at("The database's clock. Count down with it.");
const position = natural("First come, first served: 1, 2, 3 …");
const issuedOn = day("The user's coupon of this day, in the service's time zone.");
const issuedAt = at("When it was issued.");
const usedDate = at("When it was used.");
const startsIn = seconds("Until start_time");

const offered = z.strictObject({
  coupon_id: couponId,
  code: z.string().meta({ examples: ["LUNCH-20261122"] }),
  message: z.string().meta({ examples: ["Free lunch"] }),
  description: z.string().meta({ examples: ["Half price on any lunch, until tomorrow."] }),
  start_time: at("It can be issued from then on."),
  expiry: at("It can no longer be issued or used from then on."),
  count: natural("Units in all.", 25),
  issued: natural("Units that somebody has."),
  remaining: natural("Units that are left.", 22),
  sold_out: z.boolean().meta({ examples: [false] }),
  paused: z.boolean().meta({ examples: [false] }),
  starts_in: startsIn.nullable().meta({ description: "Seconds until start_time; null after it." }),
  metadata: z.record(z.string(), z.unknown()).meta({ examples: [{ campaign: "autumn" }] }),
});
export const offer = offered.extend({ server_time: serverTime });
export const offers = z.strictObject({ coupons: z.array(offered), server_time: serverTime });

export const couponStats = z.strictObject({
  coupon_id: couponId,
  code: offered.shape.code,
  count: offered.shape.count,
  issued: offered.shape.issued,
  remaining: offered.shape.remaining,
  used: natural("Units that were used."),
  first_issued_at: at("The first grant.").nullable(),
  last_issued_at: at("The last grant so far.").nullable(),
  time_to_sell_out: seconds("From start_time to the last unit").nullable(),
});

/** What a page shows. */
export const couponsState = z.strictObject({
  live: z.array(offered),
  upcoming: z.array(offered),
  server_time: serverTime,
});

const couponStatus = z.strictObject({
  coupon_id: couponId,
  code: offered.shape.code,
  state: z.enum(["upcoming", "ended", "paused", "sold_out", "live"]),
  paused: offered.shape.paused,
  count: offered.shape.count,
  issued: offered.shape.issued,
  remaining: offered.shape.remaining,
  starts_in: offered.shape.starts_in,
  since_start: seconds("Since start_time").nullable(),
  last_issued_at: at("The last grant so far.").nullable(),
  per_second_10s: z.number().meta({ description: "Grants a second, over the last 10 s.", examples: [2.5] }),
  per_second_60s: z.number().meta({ description: "Grants a second, over the last 60 s.", examples: [0.42] }),
});

export const couponStatuses = z.strictObject({
  coupons: z.array(couponStatus),
  server_time: serverTime,
  outcomes: z.record(z.string(), z.int()).meta({
    description: "Answers to issue requests by this server process since it started, by outcome.",
    examples: [{ issued: 25, sold_out: 40210 }],
  }),
});

export const wallet = z.strictObject({
  user_id: userId,
  coupons: z.array(
    z.strictObject({
      state: z.enum(["issued", "used", "expired"]),
      coupon_id: couponId,
      code: offered.shape.code,
      message: offered.shape.message,
      description: offered.shape.description,
      position,
      issued_on: issuedOn,
      issued_at: issuedAt,
      expiry: offered.shape.expiry,
      used_date: usedDate.nullable(),
      use_reference: z
        .string()
        .nullable()
        .meta({ examples: ["order-1"] }),
    }),
  ),
  next_before: day("before= of the next page.").nullable(),
});

export const importedUsers = z.strictObject({
  users: z.array(z.strictObject({ outcome: z.enum(["created", "updated", "unchanged"]), user_id: userId })),
});

/** How a stream of lines ends: done, or the outcome of what went wrong. */
const ending = {
  outcome: z
    .string()
    .meta({ description: "In the last line: done, or what went wrong.", examples: ["done"] }),
  detail: z
    .string()
    .meta({ description: "For people: what went wrong.", examples: ["The server is shutting down."] }),
};
const next = (what: string) =>
  z.int().meta({ description: `If the stream ended early: ${what}.`, examples: [1001] });
const lineCount = natural("In the last line: the number of lines.", 1000);

export const importedLine = z.strictObject({
  line: z
    .int()
    .optional()
    .meta({ description: "The number of the line, from 1 on.", examples: [1] }),
  outcome: z.string().meta({
    description: "created, updated, unchanged or invalid; in the last line done, or what went wrong.",
    examples: ["created"],
  }),
  user_id: userId.optional(),
  detail: ending.detail.optional(),
  lines: lineCount.optional(),
  created: natural("In the last line.").optional(),
  updated: natural("In the last line.").optional(),
  unchanged: natural("In the last line.").optional(),
  invalid: natural("In the last line.").optional(),
  next_line: next("all lines before it were imported").optional(),
});
export const listedUser = z.strictObject({
  user_id: userId.optional(),
  display_name: z
    .string()
    .optional()
    .meta({ examples: ["Ann"] }),
  outcome: ending.outcome.optional(),
  detail: ending.detail.optional(),
  lines: lineCount.optional(),
  next_after: next("go on with after=").optional(),
});
export const listedGrant = z.strictObject({
  position: position.optional(),
  user_id: userId.optional(),
  issued_on: issuedOn.optional(),
  issued_at: issuedAt.optional(),
  used_date: usedDate.nullable().optional(),
  use_reference: z
    .string()
    .nullable()
    .optional()
    .meta({ examples: ["order-1"] }),
  outcome: ending.outcome.optional(),
  detail: ending.detail.optional(),
  lines: lineCount.optional(),
  next_after: next("go on with after=").optional(),
});

export const token = z.strictObject({
  token: z.string().meta({ description: "Valid for a day.", examples: ["eyJhbGciOiJIUzI1NiIs…"] }),
});

export const health = z.strictObject({ status: z.literal("ok") });

/** What a command answers besides its outcome: its ids always, the rest with a success, and where it is known with a refusal. */
export const created = z.strictObject({
  coupon_id: couponId,
  live_on: day("The day that it counts for."),
  slot: z
    .int()
    .min(1)
    .max(3)
    .meta({ description: "Its place among the three coupons of the day.", examples: [1] }),
});
export const issued = z.strictObject({
  coupon_id: couponId,
  user_id: userId,
  position,
  issued_on: issuedOn,
  issued_at: issuedAt,
});
export const used = z.strictObject({
  coupon_id: couponId,
  user_id: userId,
  used_date: usedDate,
  use_reference: z.string().meta({ examples: ["order-1"] }),
});
export const changed = z.strictObject({ coupon_id: couponId });
export const stock = z.strictObject({
  coupon_id: couponId,
  issued: offered.shape.issued,
  remaining: offered.shape.remaining,
});

/** Everything that isn't a success (RFC 9457). */
export const problem = z.strictObject({
  title: z.string().meta({ description: "The status in words." }),
  status: z.int().meta({ description: "The HTTP status." }),
  outcome: z.string().meta({ description: "For programs: what happened." }),
  detail: z.string().meta({ description: "For people: what happened." }),
  errors: z
    .array(z.strictObject({ member: z.string(), detail: z.string() }))
    .optional()
    .meta({ description: "Which members of the request are wrong, and why." }),
  starts_in: startsIn.optional(),
  request_id: z.string().meta({
    description: "The same as x-request-id; the log has it too.",
    examples: ["13995f1a-2fa7-45f5-8d21-ec54ee71ee54"],
  }),
});

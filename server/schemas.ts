/** The shapes of requests: types, presence and sizes. What a coupon may do is SQL's to say. */
import { z } from "zod";

const MAX_METADATA_DEPTH = 5;

/** The bounds come first and end the check: int() has a word of its own on what is too large. */
const whole = (max: number) =>
  z
    .number("must be a number")
    .min(1, { error: "must be at least 1", abort: true })
    .max(max, { error: `must be at most ${max}`, abort: true })
    .int("must be a whole number");

export const id = whole(Number.MAX_SAFE_INTEGER);

/** An id in a path or a query. */
export const idText = z
  .string()
  .regex(/^[1-9][0-9]{0,15}$/, "must be a whole number from 1")
  .transform(Number)
  .pipe(id);

const text = (min: number, max: number) =>
  z
    .string("must be a string")
    .min(min, min === 1 ? "must not be empty" : `must have at least ${min} characters`)
    // JavaScript counts surrogates, PostgreSQL characters: this bound is never the stricter one.
    .max(max * 2, { error: `must have at most ${max} characters`, abort: true })
    .refine((value) => [...value].length <= max, `must have at most ${max} characters`)
    .refine(isText, "must be valid text");

/** What PostgreSQL can store: no NUL, no half of a surrogate pair. */
export function isText(value: string): boolean {
  return !value.includes("\0") && value.isWellFormed();
}

const instant = z.iso
  .datetime({ offset: true, error: "must be a time like 2026-11-22T10:00:00Z" })
  .max(40, "must have at most 40 characters");

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

const count = whole(100_000_000);

/** Why, for the audit. */
const reason = text(1, 500);

export const newCoupon = z.strictObject({
  code: text(1, 64),
  message: text(1, 200),
  description: text(0, 2000),
  start_time: instant,
  expiry: instant,
  count,
  metadata: metadata.default({}),
  reason: reason.optional(),
});

/** Who it is for: a user says nothing or itself, a service and an admin must say. */
export const forUser = z.strictObject({ user_id: id.optional() });
export const use = z.strictObject({ user_id: id.optional(), reference: text(1, 200) });
export const undoUse = z.strictObject({ user_id: id, reason });
export const why = z.strictObject({ reason: reason.optional() });
export const newCount = z.strictObject({ count, reason: reason.optional() });
export const newExpiry = z.strictObject({ expiry: instant, reason: reason.optional() });
export const newUser = z.strictObject({ user_id: id, display_name: text(1, 200) }, "must be an object");
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

export const couponPath = z.strictObject({ coupon_id: idText });
export const userPath = z.strictObject({ user_id: idText });
export const byCode = z.strictObject({ code: text(1, 64) });
export const noQuery = z.strictObject({});
const pageSize = (otherwise: number) =>
  z
    .string()
    .regex(/^[1-9][0-9]{0,3}$/, "must be a whole number")
    .transform(Number)
    .pipe(z.number().max(1000, "must be at most 1000"))
    .default(otherwise);
export const upcomingQuery = z.strictObject({ page_size: pageSize(100) });
export const walletQuery = z.strictObject({
  before: z.iso.date("must be a day like 2026-11-22").optional(),
  page_size: pageSize(50),
});

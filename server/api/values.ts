/** The members that requests and answers are made of, with their bounds. What a coupon may do is SQL's to say. */
import { z } from "zod";
import { keptNumber } from "./exact.ts";

export const MAX_METADATA_DEPTH = 5;
/** Characters. */
export const MAX_METADATA = 4096;
/** Units of a coupon. */
export const MAX_COUNT = 100_000_000;

/** The bounds come first and end the check: int() has a word of its own on what is too large. */
export const wholeBetween = (min: number, max: number) =>
  z
    .number({
      error: ({ input }) =>
        keptNumber(input) === undefined ? "must be a number" : "must be a number that a double can hold",
    })
    .min(min, { error: `must be at least ${min}`, abort: true })
    .max(max, { error: `must be at most ${max}`, abort: true })
    .int("must be a whole number");

const id = wholeBetween(1, Number.MAX_SAFE_INTEGER);
export const couponId = id.meta({ examples: [7] });
export const userId = id.meta({ examples: [42] });

/** Of a coupon, in order of precedence: the first that applies. */
export const STATES = ["upcoming", "ended", "paused", "sold_out", "live"] as const;

/** An id in a path or a query. */
const idText = z
  .string()
  .regex(/^[1-9][0-9]{0,15}$/, "must be a whole number from 1")
  .transform(Number)
  .pipe(id);
export const idInPath = (example: number) =>
  idText.meta({
    instead: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    examples: [example],
  });

/** A string of a body. A number that a double cannot hold is read as one (exact.ts), and is none. */
export const anyString = z
  .string("must be a string")
  .refine((value) => keptNumber(value) === undefined, { error: "must be a string", abort: true });

export const text = (min: number, max: number) =>
  anyString
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

/** What zod takes and PostgreSQL does not: it has no year 0000, and no offset of 16 hours or more. */
const NOT_IN_SQL = /^0000|[+-](1[6-9]|2\d):\d\d$/;
export const isInSql = (value: string) => !NOT_IN_SQL.test(value);

const aTime = "must be a time like 2026-11-22T10:00:00Z";
/** What PostgreSQL keeps: beyond six digits it rounds, which may be the next day. .NET writes seven. */
const TO_MICROSECONDS = /^[^.]*(\.\d{1,6}0*([^\d.].*)?)?$/;
export const instant = z.iso
  .datetime({ offset: true, error: aTime, abort: true })
  .refine(isInSql, { error: aTime, abort: true })
  .max(40, "must have at most 40 characters")
  .regex(TO_MICROSECONDS, "must have at most six digits after the second, or zeros beyond them")
  .meta({
    instead: { type: "string", format: "date-time", maxLength: 40, pattern: TO_MICROSECONDS.source },
    description: "At most six digits after the second, or zeros beyond them.",
    examples: ["2026-11-22T12:00:00Z"],
  });

/**
 * JSON already; not z.json(), which follows any depth and drops `__proto__`. SQL counts its characters as PostgreSQL writes them
 * (`1e9` is ten).
 */
export const metadata = z
  .custom<Record<string, unknown>>(
    (value) => typeof value === "object" && value !== null && !Array.isArray(value),
    { error: "must be a JSON object", abort: true },
  )
  .refine((value) => depthOf(value) <= MAX_METADATA_DEPTH, {
    error: `must be at most ${MAX_METADATA_DEPTH} levels deep`,
    abort: true,
  })
  .refine(isStorable, "must have valid text only")
  .refine((value) => !hasHugeNumber(value), `must have at most ${MAX_METADATA} characters`);

/** How many levels of arrays and objects; stops counting where it is too deep anyway. */
function depthOf(value: unknown, depth = 0): number {
  if (value === null || typeof value !== "object" || depth > MAX_METADATA_DEPTH) return depth;
  return Math.max(depth + 1, ...Object.values(value).map((member) => depthOf(member, depth + 1)));
}

/** No NUL, no half of a surrogate pair. */
function isStorable(value: unknown): boolean {
  if (typeof value === "string") return isText(value) || keptNumber(value) !== undefined;
  if (value === null || typeof value !== "object") return true;
  return Object.entries(value).every(([key, member]) => isText(key) && isStorable(member));
}

/** One that has more than 4096 digits when it is written without an exponent. PostgreSQL has limits, beyond which it rounds to 0. */
function hasHugeNumber(value: unknown): boolean {
  const [, exponent = "0"] = keptNumber(value)?.match(/e(.*)$/i) ?? [];
  if (value === null || typeof value !== "object") return Math.abs(Number(exponent)) > MAX_METADATA;
  return Object.values(value).some(hasHugeNumber);
}

const NAME = /^[A-Za-z0-9_-]{1,64}$/;
/** What a group or a webhook is called. */
export const plainName = anyString
  .regex(NAME, "must be 1 to 64 letters, digits, - or _")
  .meta({ instead: { type: "string", pattern: NAME.source } });

export const code = text(1, 64).meta({
  description: "Unique, in upper or lower case.",
  examples: ["LUNCH-20261122"],
});
export const message = text(1, 200).meta({ description: "Shown to users.", examples: ["Free lunch"] });
export const description = text(0, 2000).meta({ examples: ["Half price on any lunch, until tomorrow."] });
export const count = wholeBetween(1, MAX_COUNT).meta({
  description: "Units that can be issued.",
  examples: [25],
});
export const warning = z.enum(["short_lived", "already_started", "empty_group"]).meta({
  description:
    "What was done although it may be a mistake. short_lived: it can be had for less than a minute. " +
    "already_started: its start_time is not to come. empty_group: the group has no members yet.",
  examples: ["short_lived"],
});
export const reason = text(1, 500).meta({
  description: "Why, for the audit.",
  examples: ["asked by marketing"],
});
export const reference = text(1, 200).meta({
  description: "For example the order that the coupon is used for. The same reference again is a replay.",
  examples: ["order-1"],
});
export const claimCode = text(1, 200).meta({
  description:
    "The code of a grant, as it is scanned or read out: in upper or lower case, with hyphens and spaces or without, I or L for 1, O for 0.",
  examples: ["7K3M-PX2A-9QTD"],
});
export const displayName = text(1, 200).meta({ examples: ["Ann"] });

/** The shapes of answers, with the descriptions and examples of the OpenAPI document. */
import { z } from "zod";
import { couponId, MAX_COUNT, STATES, userId, warning } from "./values.ts";

export const at = (description: string) =>
  z.string().meta({
    instead: { type: "string", format: "date-time" },
    description,
    examples: ["2026-11-22T12:00:00.004217Z"],
  });
export const day = (description: string) =>
  z.string().meta({ instead: { type: "string", format: "date" }, description, examples: ["2026-11-22"] });
const seconds = (description: string) =>
  z.number().meta({ description: `${description}, in seconds.`, examples: [1.5] });
const natural = (description: string, example = 3) =>
  z
    .int()
    .min(0)
    .max(MAX_COUNT)
    .meta({ description, examples: [example] });
/** A sum, or an id, which a double holds. */
const total = (description: string) =>
  z
    .int()
    .min(0)
    .meta({ description, examples: [75] });

const serverTime = at("The database's clock. Count down with it.");
export const position = natural("First come, first served: 1, 2, 3 …");
export const issuedOn = day("The user's coupon of this day, in the service's time zone.");
export const issuedAt = at("When it was issued.");
export const usedDate = at("When it was used.");
export const slot = z
  .int()
  .min(1)
  .max(3)
  .meta({ description: "Its place among the three coupons of the day.", examples: [1] });
const startsIn = seconds("Until start_time");
const soldOutAt = at("Since when nothing is left: the last grant, or the cut of the count.");
const timeToSellOut = seconds("From eligible_from, or else start_time, to sold_out_at");

export const offered = z
  .strictObject({
    coupon_id: couponId,
    code: z.string().meta({ examples: ["LUNCH-20261122"] }),
    message: z.string().meta({ examples: ["Free lunch"] }),
    description: z.string().meta({ examples: ["Half price on any lunch, until tomorrow."] }),
    start_time: at("It can be issued from then on."),
    eligible_from: at(
      "The members of a group can have it from then on; null: nobody can before start_time.",
    ).nullable(),
    expiry: at("It can no longer be issued or used from then on."),
    count: natural("Units in all.", 25),
    issued: natural("Units that somebody has."),
    remaining: natural("Units that are left.", 22),
    sold_out: z.boolean().meta({ examples: [false] }),
    sold_out_at: soldOutAt.nullable(),
    time_to_sell_out: timeToSellOut.nullable(),
    paused: z.boolean().meta({ examples: [false] }),
    starts_in: startsIn.nullable().meta({ description: "Seconds until start_time; null after it." }),
    metadata: z.record(z.string(), z.unknown()).meta({ examples: [{ campaign: "autumn" }] }),
  })
  .meta({ title: "Coupon" });
const asked = total(
  "Requests (not people) that were answered: grants at once, the rest a second or two later.",
);
export const offer = offered.extend({ asked, server_time: serverTime }).meta({ title: "CouponNow" });
export const live = z.strictObject({
  coupons: z.array(offered),
  next_before: at("before= of the next page; null: this is the last one.").nullable(),
  server_time: serverTime,
});
export const upcoming = z.strictObject({
  coupons: z.array(offered),
  next_after: at("after= of the next page; null: this is the last one.").nullable(),
  server_time: serverTime,
});

const state = z.enum(STATES);
/** What an operator finds, past ones too. */
export const listedCoupons = z.strictObject({
  coupons: z.array(
    z.strictObject({
      state,
      coupon_id: couponId,
      ...{ code: offered.shape.code, message: offered.shape.message, description: offered.shape.description },
      start_time: offered.shape.start_time,
      eligible_group: z
        .string()
        .nullable()
        .meta({ description: "Whose members can have it from eligible_from on.", examples: ["regulars"] }),
      ...{ eligible_from: offered.shape.eligible_from, expiry: offered.shape.expiry },
      live_on: day("The day that it counts for."),
      slot,
      ...{ count: offered.shape.count, issued: offered.shape.issued, remaining: offered.shape.remaining },
      paused: offered.shape.paused,
      metadata: offered.shape.metadata,
    }),
  ),
  next_before: at("before= of the next page; null: this is the last one.").nullable(),
  server_time: serverTime,
});

export const couponStats = z.strictObject({
  coupon_id: couponId,
  code: offered.shape.code,
  count: offered.shape.count,
  issued: offered.shape.issued,
  remaining: offered.shape.remaining,
  used: natural("Units that were used."),
  asked,
  first_issued_at: at("The first grant.").nullable(),
  last_issued_at: at("The last grant so far.").nullable(),
  sold_out_at: soldOutAt.nullable(),
  time_to_sell_out: timeToSellOut.nullable(),
});

export const couponTimeline = z.strictObject({
  coupon_id: couponId,
  bucket: seconds("What each bucket lasts"),
  buckets: z.array(
    z.strictObject({
      begins_at: at("When the bucket begins; the first one has the first request."),
      asked: total("Requests that were answered in it: grants, refusals and replays."),
      grants: natural("Units that were issued in it."),
      refused: total("Requests that were refused in it."),
      issued: natural("Units that were issued up to its end."),
    }),
  ),
});

export const dailySummary = z.strictObject({
  days: z.array(
    z.strictObject({
      day: day("In the service's time zone."),
      coupons: natural("Coupons that started on this day."),
      count: total("Their units together."),
      asked: total("Requests for them that were answered, on any day."),
      issued: total("Units of any coupon that were issued on this day: so many users got one."),
      used: total("Of those, the ones that are used by now."),
      share_used: z
        .number()
        .nullable()
        .meta({ description: "used / issued, from 0 to 1; null if nothing was issued.", examples: [0.4] }),
      first_issued_at: at("The first grant.").nullable(),
      last_issued_at: at("The last grant so far.").nullable(),
    }),
  ),
});

const values = z
  .record(z.string(), z.unknown())
  .nullable()
  .meta({ examples: [{ count: 25 }] });
export const auditTrail = z.strictObject({
  entries: z.array(
    z.strictObject({
      audit_id: total("Rises with time."),
      at: at("When it was done."),
      login: z.string().meta({ description: "The database login.", examples: ["coupon_api"] }),
      actor: z
        .string()
        .nullable()
        .meta({
          description: "On whose behalf: role and subject of the token. Null from psql.",
          examples: ["admin:root"],
        }),
      command: z.string().meta({ description: "The function that was called.", examples: ["pause_coupon"] }),
      coupon_id: couponId.nullable(),
      user_id: userId.nullable().meta({ description: "Whose use it was." }),
      used_date: usedDate.nullable(),
      old_values: values.meta({ description: "What was changed, as it was." }),
      new_values: values.meta({ description: "What was changed, as it is then." }),
      reason: z
        .string()
        .nullable()
        .meta({ examples: ["asked by marketing"] }),
    }),
  ),
  next_before: total("before= of the next page; null: this is the last one.").nullable(),
});

/** What a page shows. */
export const couponsState = z.strictObject({
  live: z.array(offered),
  upcoming: z.array(offered),
  server_time: serverTime,
});

const couponStatus = z
  .strictObject({
    coupon_id: couponId,
    code: offered.shape.code,
    state,
    paused: offered.shape.paused,
    count: offered.shape.count,
    issued: offered.shape.issued,
    remaining: offered.shape.remaining,
    starts_in: offered.shape.starts_in,
    since_start: seconds("Since start_time").nullable(),
    last_issued_at: at("The last grant so far.").nullable(),
    per_second_10s: z.number().meta({ description: "Grants a second, over the last 10 s.", examples: [2.5] }),
    per_second_60s: z
      .number()
      .meta({ description: "Grants a second, over the last 60 s.", examples: [0.42] }),
  })
  .meta({ title: "CouponStatus" });

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
      claim_code: z
        .string()
        .nullable()
        .meta({ description: "What a till takes: show it, or say it.", examples: ["7K3M-PX2A-9QTD"] }),
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
  users: z.array(
    z.strictObject({ outcome: z.enum(["forgotten", "created", "updated", "unchanged"]), user_id: userId }),
  ),
});

export const token = z.strictObject({
  token: z.string().meta({ description: "Valid for a day.", examples: ["eyJhbGciOiJIUzI1NiIs…"] }),
});

export const health = z.strictObject({ status: z.literal("ok") });

/** What a command answers besides its outcome: its ids always, the rest with a success, and where it is known with a refusal. */
export const created = z.strictObject({
  coupon_id: couponId,
  live_on: day("The day that it counts for."),
  slot,
  warning: warning.nullable(),
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
/** What a till tells: which coupon, and whose. */
export const claimed = used.extend({
  ...{ code: offered.shape.code, message: offered.shape.message, position },
  display_name: z.string().meta({ examples: ["Ann"] }),
});
export const changed = z.strictObject({ coupon_id: couponId });
const taken_by = couponId
  .nullable()
  .meta({ description: "The coupon that is in the way.", examples: [null] });
export const edited = changed.extend({ taken_by });
export const expiring = changed.extend({ warning: warning.nullable() });
export const moved = created.extend({ taken_by });
export const retired = z.strictObject({
  coupon_id: couponId.nullable().meta({
    description: "The coupon that was retired, or is being so; none once only copies of grants are left.",
  }),
  code: offered.shape.code.nullable(),
  grants: natural("Grants that this request moved out.").nullable(),
  grants_left: natural("Grants of this coupon that are left.").nullable(),
  coupons_left: total(
    "Coupons that are left to retire, with this one while grants of it are left.",
  ).nullable(),
});
export const forgotten = z.strictObject({ user_id: userId });
export const withdrawn = changed.extend({
  issued: offered.shape.issued.nullable().meta({ examples: [0] }),
});
export const stock = z.strictObject({
  coupon_id: couponId,
  issued: offered.shape.issued,
  remaining: offered.shape.remaining,
});

/** Everything that isn't a success (RFC 9457). */
export const problem = z.strictObject({
  title: z.string().meta({ description: "The status in words." }),
  status: z.int().max(599).meta({ description: "The HTTP status." }),
  outcome: z.string().meta({ description: "For programs: what happened." }),
  detail: z.string().meta({ description: "For people: what happened." }),
  errors: z
    .array(z.strictObject({ member: z.string(), detail: z.string() }).meta({ title: "WrongMember" }))
    .optional()
    .meta({ description: "Which members of the request are wrong, and why." }),
  starts_in: startsIn.optional(),
  sold_out_at: soldOutAt.optional(),
  time_to_sell_out: timeToSellOut.optional(),
  request_id: z.string().meta({
    description: "The same as x-request-id; the log has it too.",
    examples: ["13995f1a-2fa7-45f5-8d21-ec54ee71ee54"],
  }),
});

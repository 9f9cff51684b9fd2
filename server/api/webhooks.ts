/** The part of the contract that is about webhooks: servers that are sent events (https://www.standardwebhooks.com). */
import { z } from "zod";
import { at } from "./answers.ts";
import { ADMIN } from "./changes.ts";
import { EVENT_ID, EVENT_TYPES, eventId, eventOrLatest, typeOf } from "./events.ts";
import * as requests from "./requests.ts";
import { couponId, plainName, reason, text } from "./values.ts";

const webhookName = plainName.meta({ examples: ["crm"] });
const named = z.strictObject({ webhook_name: webhookName });

const TYPES = EVENT_TYPES.map(typeOf);
const eventTypes = z
  .array(z.enum(TYPES, "must be the type of an event"), "must be an array")
  .max(TYPES.length, `must have at most ${TYPES.length} types`)
  .meta({
    description: "The events that it is sent; none: all, and those of later releases.",
    examples: [["coupon.used"]],
  });
const url = z.string().meta({
  description:
    "Where events are sent: https, and a public address, unless the service is set up to send to others.",
  examples: ["https://crm.example/hooks"],
});

const newWebhook = z.strictObject({
  webhook_name: webhookName,
  // Of a URL the database asks for more: its scheme, its characters, and that it has no login. Who sends says which addresses it may be at.
  url: text(1, 2_000)
    .refine((given) => URL.canParse(given), "must be a URL")
    .meta({
      instead: { type: "string", maxLength: 2_000 },
      examples: ["https://crm.example/hooks"],
    }),
  event_types: eventTypes.default([]),
  after: eventOrLatest
    .nullable()
    .default("latest")
    .meta({
      description:
        "Of a new webhook: latest, it begins with what happens from now on; the id of an event, with what came behind it; null, with all.",
      examples: ["latest"],
    }),
  reason: reason.optional(),
});

const secret = z.string().meta({
  description:
    "What is sent is signed with it. It is told this once, and no call tells it again. After a lost answer, rotate it.",
  examples: ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwNOTTHEREALONE="],
});
const failed = {
  last_status: z
    .int()
    .nullable()
    .meta({ description: "What it answered when it refused an event last; null: nothing.", examples: [500] }),
  last_error: z
    .string()
    .nullable()
    .meta({
      description: "The reason of the last failure. It stays when a later event is taken.",
      examples: ["status 500"],
    }),
};

const webhooks = z.strictObject({
  webhooks: z.array(
    z.strictObject({
      webhook_name: webhookName,
      url,
      event_types: z.array(z.string()).meta({ description: "None: all.", examples: [["coupon.used"]] }),
      created_at: at("When it was created."),
      delivered_at: at("When it took an event last.").nullable(),
      failing_since: at("Since when it has taken nothing that was sent to it.").nullable(),
      ...failed,
      disabled_at: at("Since when nothing is sent to it.").nullable(),
      disabled_reason: z
        .string()
        .nullable()
        .meta({ examples: [null] }),
      second_secret_until: at(
        "Until when what is sent is signed with the secret before the newest too.",
      ).nullable(),
      waiting: z
        .int()
        .min(0)
        .meta({ description: "Coupons of which an event waits to be sent again.", examples: [0] }),
      dead: z
        .int()
        .min(0)
        .meta({ description: "Events that were given up.", examples: [0] }),
      behind: z
        .number()
        .min(0)
        .meta({ description: "Seconds: how old the oldest event is that it has not got.", examples: [0] }),
    }),
  ),
});

const deliveries = z.strictObject({
  deliveries: z.array(
    z.strictObject({
      event_id: eventId,
      type: z
        .string()
        .nullable()
        .meta({
          description: "null: the next event of the coupon, whichever it is.",
          examples: ["coupon.used"],
        }),
      coupon_id: couponId.nullable(),
      attempts: z
        .int()
        .min(0)
        .meta({ examples: [2] }),
      next_attempt_at: at("When it is sent again.").nullable(),
      dead_at: at("When it was given up; null while it waits.").nullable(),
      last_attempt_at: at("When it was sent last.").nullable(),
      ...failed,
    }),
  ),
});

const ofWebhook = {
  tag: "Operating",
  roles: ADMIN,
  path: named,
  body: requests.why,
  answer: named,
} as const;

export const hooking = {
  listWebhooks: {
    route: "GET /webhooks",
    tag: "Operating",
    summary: "The webhooks, and how each is doing",
    roles: ADMIN,
    answer: webhooks,
  },
  setWebhook: {
    route: "POST /webhooks",
    tag: "Operating",
    summary: "Have events sent to a URL, or change where and which",
    description:
      "Each event is one POST, signed after Standard Webhooks, whose body is the event of GET /events. A status of 2xx takes it. At most 50 webhooks.",
    roles: ADMIN,
    body: newWebhook,
    command: "set_webhook",
    answer: named.extend({ secret: secret.nullable() }),
  },
  rotateWebhookSecret: {
    route: "POST /webhooks/{webhook_name}/rotate-secret",
    summary: "Make a new secret",
    description:
      "For a day what is sent is signed with the old one too. Done twice, the old one is out: after outcome_unknown or a lost answer, see " +
      "second_secret_until in GET /webhooks, and send it again when the receiver can change at once.",
    command: "rotate_webhook_secret",
    ...ofWebhook,
    answer: named.extend({ secret }),
  },
  enableWebhook: {
    route: "POST /webhooks/{webhook_name}/enable",
    summary: "Send to a webhook again, from where it was disabled on",
    command: "enable_webhook",
    ...ofWebhook,
  },
  disableWebhook: {
    route: "POST /webhooks/{webhook_name}/disable",
    summary: "Send nothing to a webhook until it is enabled",
    command: "disable_webhook",
    ...ofWebhook,
  },
  removeWebhook: {
    route: "POST /webhooks/{webhook_name}/remove",
    summary: "Forget a webhook, with what waits for it",
    command: "remove_webhook",
    ...ofWebhook,
  },
  resendWebhook: {
    route: "POST /webhooks/{webhook_name}/resend",
    summary: "Send at once what waits, and what was given up",
    command: "resend_webhook",
    ...ofWebhook,
    body: requests.why.extend({
      event_id: eventId
        .regex(EVENT_ID, "must be the id of an event")
        .optional()
        .meta({ description: "Only this one.", examples: ["2-3-1796036400000012"] }),
    }),
    answer: named.extend({
      deliveries: z
        .int()
        .min(0)
        .meta({ description: "So many.", examples: [3] }),
    }),
  },
  listWebhookDeliveries: {
    route: "GET /webhooks/{webhook_name}/deliveries",
    tag: "Operating",
    summary: "What a webhook did not take: what waits, then what was given up",
    roles: ADMIN,
    path: named,
    query: z.strictObject({ page_size: requests.pageSize(requests.COUPONS_OF_PAGE) }),
    answer: deliveries,
  },
} as const;

/** What happened, as events after CloudEvents 1.0 (https://github.com/cloudevents/spec): the shapes of the feed, and its operations. */
import { z } from "zod";
import { at, position } from "./answers.ts";
import { COUPONS_OF_PAGE, pageSize } from "./requests.ts";
import { anyString, couponId, userId } from "./values.ts";

/** As the database calls them. */
export const EVENT_TYPES = [
  ...["created", "edited", "paused", "resumed", "restocked", "withdrawn", "retired"],
  ...["issued", "sold_out", "used", "undone"],
  "webhook_disabled",
] as const;

/** The type of an event, as CloudEvents call it: coupon.issued, webhook.disabled. */
export const typeOf = (event: string) =>
  event.startsWith("webhook_") ? event.replace("_", ".") : `coupon.${event}`;
/** What the database calls it. */
export const eventOf = (type: string) => type.replace(/^coupon\./, "").replace(".", "_");

/** What happened, as the database tells it. */
export interface EventOfDatabase {
  event_id: string;
  event: string;
  at: string;
  coupon_id: number | null;
  user_id: number | null;
  position: number | null;
  use_reference: string | null;
  old_values: Record<string, unknown> | null;
  new_values: Record<string, unknown> | null;
}

const values = (description: string) =>
  z
    .record(z.string(), z.unknown())
    .nullable()
    .meta({ description, examples: [null] });

export const eventId = anyString.meta({
  description: "Unique in its source, and the place in the order: give it as after, to go on behind it.",
  examples: ["2-3-1796036400000012"],
});

/** Whether there is such an event the database says. */
const SHAPE = "[1-9][0-9]{0,17}-[0-9]{1,9}-[0-9]{1,18}";
export const EVENT_ID = new RegExp(`^${SHAPE}$`);
export const eventOrLatest = anyString.regex(
  new RegExp(`^(latest|${SHAPE})$`),
  "must be the id of an event, or latest",
);

const cloudEvent = z
  .strictObject({
    specversion: z.literal("1.0"),
    id: eventId,
    source: z.literal("/events"),
    type: z.string().meta({
      description: `What happened: ${EVENT_TYPES.map(typeOf).join(", ")}. Others may come with a later release.`,
      examples: ["coupon.issued"],
    }),
    subject: z
      .string()
      .meta({ description: "The coupon, or the webhook (webhooks/crm).", examples: ["coupons/7"] }),
    time: at("When it happened."),
    datacontenttype: z.literal("application/json"),
    data: z.strictObject({
      coupon_id: couponId.nullable().meta({ description: "null of what is no coupon's." }),
      user_id: userId.nullable().meta({ description: "Whose unit it is: of issued, used and undone." }),
      position: position.nullable(),
      use_reference: z
        .string()
        .nullable()
        .meta({ description: "Of used and undone.", examples: [null] }),
      old_values: values("What was changed, as it was."),
      new_values: values("What was changed, as it is then; of webhook.disabled its name and why."),
    }),
  })
  .meta({ title: "Event" });

const after = eventOrLatest.optional().meta({
  description:
    "The id of the last event that was read; none: from the beginning; latest: from the newest event on, with that one.",
});
export const afterEvent = z.strictObject({ after });

const ABOUT =
  "Grants, uses, and changes of coupons, each once it is committed. The order never changes, and nothing comes before what was read; of one coupon it is what " +
  "happened. An id that this database does not know is refused (400): it lost what it then had, or is another one; begin again. Grants of " +
  "retired coupons have no events any more.";

export const eventing = {
  listEvents: {
    route: "GET /events",
    tag: "Operating",
    summary: "What happened, a page at a time, as CloudEvents",
    description: ABOUT,
    roles: ["service", "admin"],
    scope: "read",
    query: afterEvent.extend({ page_size: pageSize(COUPONS_OF_PAGE) }),
    answer: z.strictObject({
      events: z.array(cloudEvent),
      next_after: eventId.nullable().meta({
        description:
          "after= of the next page, which is empty as long as nothing new has happened; null: nothing has happened yet.",
      }),
    }),
  },
  watchEvents: {
    route: "GET /events/stream",
    tag: "Operating",
    summary: "What happened, and what happens, as a stream of CloudEvents",
    description:
      `Server-Sent Events without a name, whose id is the event's. ${ABOUT} A header Last-Event-ID, which EventSource sends when it connects ` +
      "again, comes before after. New events come within two seconds. A stream ends after a quarter of an hour at most: connect again. " +
      "A server process has places for 50 (503).",
    roles: ["service", "admin"],
    scope: "read",
    query: afterEvent,
    answer: cloudEvent,
    stream: "text/event-stream",
  },
} as const;

export type CloudEvent = z.infer<typeof cloudEvent>;

/** An event as CloudEvents 1.0 say it; `row` is what the database tells. */
export function toCloudEvent(row: EventOfDatabase): CloudEvent {
  const { event_id, event, at, coupon_id, user_id, position, use_reference, old_values, new_values } = row;
  return {
    specversion: "1.0",
    id: event_id,
    source: "/events",
    type: typeOf(event),
    subject: coupon_id === null ? `webhooks/${new_values?.["webhook_name"]}` : `coupons/${coupon_id}`,
    time: at,
    datacontenttype: "application/json",
    data: { coupon_id, user_id, position, use_reference, old_values, new_values },
  };
}

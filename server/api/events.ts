/** What happened, as events after CloudEvents 1.0 (https://github.com/cloudevents/spec): the shapes of the feed, and its operations. */
import { z } from "zod";
import { at, position } from "./answers.ts";
import { COUPONS_OF_PAGE, pageSize } from "./requests.ts";
import { couponId, userId } from "./values.ts";

/** As the database calls them. */
export const EVENT_TYPES = [
  ...["created", "edited", "paused", "resumed", "restocked", "withdrawn", "retired"],
  ...["issued", "sold_out", "used", "undone"],
] as const;

const values = (description: string) =>
  z
    .record(z.string(), z.unknown())
    .nullable()
    .meta({ description, examples: [null] });

const eventId = z.string().meta({
  description: "Unique in its source, and the place in the order: give it as after, to go on behind it.",
  examples: ["2-3-1796036400000012"],
});

const event = z
  .strictObject({
    specversion: z.literal("1.0"),
    id: eventId,
    source: z.literal("/events"),
    type: z.string().meta({
      description: `What happened: ${EVENT_TYPES.map((type) => `coupon.${type}`).join(", ")}. Others may come with a later release.`,
      examples: ["coupon.issued"],
    }),
    subject: z.string().meta({ description: "The coupon.", examples: ["coupons/7"] }),
    time: at("When it happened."),
    datacontenttype: z.literal("application/json"),
    data: z.strictObject({
      coupon_id: couponId,
      user_id: userId.nullable().meta({ description: "Whose unit it is: of issued, used and undone." }),
      position: position.nullable(),
      use_reference: z
        .string()
        .nullable()
        .meta({ description: "Of used and undone.", examples: [null] }),
      old_values: values("What was changed of the coupon, as it was."),
      new_values: values("What was changed of the coupon, as it is then."),
    }),
  })
  .meta({ title: "Event" });

const after = z
  .string()
  .regex(/^(latest|[1-9][0-9]{0,17}-[0-9]{1,9}-[0-9]{1,18})$/, "must be the id of an event, or latest")
  .optional()
  .meta({
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
    query: afterEvent.extend({ page_size: pageSize(COUPONS_OF_PAGE) }),
    answer: z.strictObject({
      events: z.array(event),
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
    query: afterEvent,
    answer: event,
    stream: "text/event-stream",
  },
} as const;

/** Calls of the functions about webhooks: those of operators, and those of the process that sends. */
import type { AnswerOf } from "../api/contract-types.ts";
import type { EventOfDatabase } from "../api/events.ts";
import type { Outcome } from "../api/outcomes.ts";
import { instant, list, seconds } from "./columns.ts";
import { type Note, noted } from "./commands.ts";
import type { Call, Pool } from "./pool.ts";
import { EVENT } from "./reads.ts";
import { arrayOf, type Instant, only, type Seconds } from "./rows.ts";

export type Webhook = AnswerOf<"listWebhooks">["webhooks"][number];
/** Which event it is, as the database calls it. */
type Delivery = Omit<AnswerOf<"listWebhookDeliveries">["deliveries"][number], "type"> & {
  event: string | null;
};

/** An event to be sent: of a page, or one that waited, or one that was given up and is wanted again. */
export interface Due extends EventOfDatabase {
  /** The webhook's: one that gets its name later is another one. */
  created_at: Instant;
  /** Of a page. */
  page_end: string | null;
  is_dead: boolean;
}

/** The first event of a coupon that did not arrive. */
export interface Stop {
  event_id: string;
  status: number | null;
  /** None: it was not sent. */
  error: string | null;
  /** Seconds that the receiver asked to wait. */
  wait: number | null;
}

const WEBHOOK = list(
  "webhook_name, url, to_json(event_types) as event_types",
  instant("created_at"),
  instant("delivered_at"),
  instant("failing_since"),
  "last_status, last_error",
  instant("disabled_at"),
  "disabled_reason",
  instant("second_secret_until"),
  "waiting, dead",
  seconds("behind"),
);
const DELIVERY = list(
  "event_id, event, coupon_id, attempts",
  instant("next_attempt_at"),
  instant("dead_at"),
  instant("last_attempt_at"),
  "last_status, last_error",
);

/** An array as text, with nulls. */
const withNulls = (values: readonly (number | string | null)[]) =>
  `{${values.map((value) => (value === null ? "null" : arrayOf([value]).slice(1, -1))).join()}}`;

export function hooked(operate: Pool, report: Call) {
  return {
    listWebhooks: () =>
      report<Webhook>((sql) => sql`select ${sql.unsafe(WEBHOOK)} from public.list_webhooks()`),

    listWebhookDeliveries: (name: string, pageSize: number) =>
      report<Delivery>(
        (sql) => sql`
          select ${sql.unsafe(DELIVERY)}
          from public.list_webhook_deliveries(webhook_name => ${name}::text, page_size => ${pageSize}::integer)
        `,
      ),

    setWebhook: (
      webhook: { webhook_name: string; url: string; event_types: readonly string[]; after: string | null },
      note: Note,
    ) =>
      operate<{ outcome: Outcome<"set_webhook">; secret: string | null }>(
        (sql) => sql`
          select outcome, secret
          from public.set_webhook(
            webhook_name => ${webhook.webhook_name}::text, url => ${webhook.url}::text,
            event_types => ${arrayOf(webhook.event_types)}::text::public.event_type[], after => ${webhook.after}::text,
            ${noted(sql, note)})
        `,
      ).then(only),

    rotateWebhookSecret: (name: string, note: Note) =>
      operate<{ outcome: Outcome<"rotate_webhook_secret">; secret: string | null }>(
        (sql) => sql`
          select outcome, secret
          from public.rotate_webhook_secret(webhook_name => ${name}::text, ${noted(sql, note)})
        `,
      ).then(only),

    enableWebhook: (name: string, note: Note) =>
      operate<{ outcome: Outcome<"enable_webhook"> }>(
        (sql) => sql`
          select outcome from public.enable_webhook(webhook_name => ${name}::text, ${noted(sql, note)})
        `,
      ).then(only),

    disableWebhook: (name: string, note: Note) =>
      operate<{ outcome: Outcome<"disable_webhook"> }>(
        (sql) => sql`
          select outcome from public.disable_webhook(webhook_name => ${name}::text, ${noted(sql, note)})
        `,
      ).then(only),

    removeWebhook: (name: string, note: Note) =>
      operate<{ outcome: Outcome<"remove_webhook"> }>(
        (sql) => sql`
          select outcome from public.remove_webhook(webhook_name => ${name}::text, ${noted(sql, note)})
        `,
      ).then(only),

    resendWebhook: (name: string, eventId: string | null, note: Note) =>
      operate<{ outcome: Outcome<"resend_webhook">; deliveries: number | null }>(
        (sql) => sql`
          select outcome, deliveries
          from public.resend_webhook(
            webhook_name => ${name}::text, event_id => ${eventId}::text, ${noted(sql, note)})
        `,
      ).then(only),
  };
}

/** What the process that sends asks and tells, on a connection of its own. */
export function sending(webhook: Pool) {
  return {
    /** The webhooks that this process may send to, for so long from the question on; none if another process does, a null if all are disabled. */
    claimWebhooks: (sender: string, isLeaving = false) =>
      webhook<{ webhook_name: string | null; valid_for: Seconds }>(
        (sql) => sql`
          select webhook_name, ${sql.unsafe(seconds("valid_for"))}
          from public.claim_webhooks(sender => ${sender}::uuid, is_leaving => ${isLeaving}::boolean)
        `,
      ),

    webhookTarget: (name: string) =>
      webhook<{ url: string; secrets: string[] }>(
        (sql) => sql`
          select url, to_json(secrets) as secrets from public.webhook_target(webhook_name => ${name}::text)
        `,
      ).then((rows) => rows[0]),

    nextWebhookEvents: async (sender: string, name: string, pageSize: number) => {
      // Gathers what was committed since, in a transaction of its own: other readers keep it, whatever becomes of this page.
      await webhook((sql) => sql`select from public.events(after => 'latest', page_size => 1)`);
      return webhook<Due>(
        (sql) => sql`
          select ${sql.unsafe(EVENT)}, ${sql.unsafe(instant("created_at"))}, page_end, is_dead
          from public.next_webhook_events(
            sender => ${sender}::uuid, webhook_name => ${name}::text, page_size => ${pageSize}::integer)
        `,
      );
    },

    tellWebhook: (
      sender: string,
      name: string,
      {
        createdAt,
        pageEnd,
        taken,
        stopped,
      }: {
        createdAt: Instant;
        pageEnd: string | null;
        taken: readonly string[];
        stopped: readonly Stop[];
      },
    ) =>
      webhook<{ is_told: boolean; is_disabled: boolean }>(
        (sql) => sql`
          select is_told, is_disabled
          from public.tell_webhook(
            sender => ${sender}::uuid, webhook_name => ${name}::text,
            created_at => ${createdAt}::timestamptz, page_end => ${pageEnd}::text,
            taken => ${arrayOf(taken)}::text::text[],
            stopped => ${arrayOf(stopped.map(({ event_id }) => event_id))}::text::text[],
            statuses => ${withNulls(stopped.map(({ status }) => status))}::text::integer[],
            errors => ${withNulls(stopped.map(({ error }) => error))}::text::text[],
            waits => ${withNulls(stopped.map(({ wait }) => wait))}::text::integer[])
        `,
      ).then(only),
  };
}

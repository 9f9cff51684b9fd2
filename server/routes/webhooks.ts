/** What operators do with webhooks. */
import { eventOf, typeOf } from "../api/events.ts";
import type { Db } from "../database/functions.ts";
import { noteOf } from "./caller.ts";
import type { Operations } from "./operation.ts";

export function addWebhooks({ command, read }: Operations, { db }: { db: Db }): void {
  read("listWebhooks", async () => ({
    webhooks: (await db.listWebhooks()).map((webhook) => ({
      ...webhook,
      event_types: webhook.event_types.map(typeOf),
    })),
  }));

  command("setWebhook", async ({ who, body: { reason, event_types, ...webhook } }) => ({
    webhook_name: webhook.webhook_name,
    ...(await db.setWebhook({ ...webhook, event_types: event_types.map(eventOf) }, noteOf(who, reason))),
  }));

  command("rotateWebhookSecret", ({ who, path: { webhook_name }, body: { reason } }) =>
    db.rotateWebhookSecret(webhook_name, noteOf(who, reason)),
  );

  command("enableWebhook", ({ who, path: { webhook_name }, body: { reason } }) =>
    db.enableWebhook(webhook_name, noteOf(who, reason)),
  );

  command("disableWebhook", ({ who, path: { webhook_name }, body: { reason } }) =>
    db.disableWebhook(webhook_name, noteOf(who, reason)),
  );

  command("removeWebhook", ({ who, path: { webhook_name }, body: { reason } }) =>
    db.removeWebhook(webhook_name, noteOf(who, reason)),
  );

  command("resendWebhook", ({ who, path: { webhook_name }, body: { event_id = null, reason } }) =>
    db.resendWebhook(webhook_name, event_id, noteOf(who, reason)),
  );

  read("listWebhookDeliveries", async ({ path: { webhook_name }, query: { page_size } }) => ({
    deliveries: (await db.listWebhookDeliveries(webhook_name, page_size)).map(({ event, ...delivery }) => ({
      ...delivery,
      type: event === null ? null : typeOf(event),
    })),
  }));
}

/** Who is told of events, in plain words; not what is sent to them. */
import { isDeepStrictEqual } from "node:util";
import type { Row } from "./commands.ts";
import { isOneOf, type Model, type Of, type Webhook } from "./state.ts";

const CALLS = [
  ...(["set_webhook", "remove_webhook", "rotate_webhook_secret", "enable_webhook"] as const),
  ...(["disable_webhook", "list_webhooks", "webhook_target"] as const),
];
export type OfWebhooks = Of<(typeof CALLS)[number]>;
export const isOfWebhooks = isOneOf(CALLS);

const MOST = 50;
/** Those that are drawn, in the order in which the service has them. */
const EVENTS = ["created", "issued", "used"];

/** The answer to such a command. A secret is taken from the answer as it was seen, and must be a new one. */
export function ofWebhooks(model: Model, command: OfWebhooks, seen: Row[]): Row[] {
  if (command.call === "list_webhooks") return list(model);
  const webhook = model.webhooks.find(({ name }) => name === command.webhook);
  switch (command.call) {
    case "set_webhook":
      return [set(model, command, webhook, seen)];
    case "remove_webhook":
      model.webhooks = model.webhooks.filter((each) => each !== webhook);
      return [{ outcome: webhook ? "removed" : "webhook_not_found" }];
    case "rotate_webhook_secret": {
      if (!webhook) return [{ outcome: "webhook_not_found", secret: null }];
      const secret = newSecret(model, seen);
      webhook.secrets = [secret, ...webhook.secrets.slice(0, 1)];
      webhook.secretCount += 1;
      return [{ outcome: "rotated", secret }];
    }
    case "enable_webhook":
    case "disable_webhook":
      return [{ outcome: setDisabled(webhook, command.call === "disable_webhook") }];
    case "webhook_target":
      return webhook ? [{ url: webhook.url, secrets: [...webhook.secrets] }] : [];
  }
}

function set(model: Model, command: Of<"set_webhook">, webhook: Webhook | undefined, seen: Row[]): Row {
  const { url } = command;
  const types = EVENTS.filter((event) => command.types.includes(event));
  if (webhook) {
    if (webhook.url === url && isDeepStrictEqual(webhook.types, types))
      return { outcome: "unchanged", secret: null };
    Object.assign(webhook, { url, types });
    return { outcome: "changed", secret: null };
  }
  if (model.webhooks.length === MOST) return { outcome: "too_many", secret: null };
  const secret = newSecret(model, seen);
  const own = { isDisabled: false, secrets: [secret], secretCount: 1 };
  model.webhooks.push({ name: command.webhook, url, types, ...own });
  return { outcome: "created", secret };
}

function newSecret({ webhooks }: Model, [seen]: Row[]): unknown {
  const secret = seen?.["secret"];
  const isNew = /^whsec_/.test(String(secret)) && !webhooks.some(({ secrets }) => secrets.includes(secret));
  return isNew ? secret : "a new one";
}

function setDisabled(webhook: Webhook | undefined, isDisabled: boolean): string {
  if (!webhook) return "webhook_not_found";
  const isSo = webhook.isDisabled === isDisabled;
  webhook.isDisabled = isDisabled;
  return `${isSo ? "already_" : ""}${isDisabled ? "disabled" : "enabled"}`;
}

function list({ webhooks }: Model): Row[] {
  return webhooks
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, url, types, isDisabled, secrets }) => ({
      ...{ webhook_name: name, url, types, has_second: secrets.length > 1 },
      disabled_reason: isDisabled ? "by hand" : null,
      ...{ waiting: 0, dead: 0 },
    }));
}

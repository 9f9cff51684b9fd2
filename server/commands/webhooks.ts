/** ./sd webhooks: how each webhook is doing and what it did not take; `test NAME` sends it an event, `resend NAME [EVENT]` what it did not take. */
import { randomUUID } from "node:crypto";
import { withConnection } from "../../db/connect.ts";
import { typeOf } from "../api/events.ts";
import type { Env } from "../env.ts";
import { messageOf } from "../webhooks/lane.ts";
import { createPost } from "../webhooks/post.ts";
import { asAdmin, withSetUp } from "./database.ts";
import { counted, entry, say, shown } from "./print.ts";

const USAGE = "usage: ./sd webhooks [test NAME | resend NAME [EVENT_ID]]";
/** What is said of a URL to which nothing was sent. */
const JUDGED = /WEBHOOKS_ALLOW_PRIVATE is off|is not a public address/;
/** Deliveries that are shown of a webhook. */
const SHOWN = 10;

export async function webhooks(env: Env, [what, name, event, ...more]: string[]): Promise<number> {
  const count = 1 + Number(name !== undefined) + Number(event !== undefined) + more.length;
  const isRight =
    what === undefined ||
    (what === "test" && count === 2) ||
    (what === "resend" && (count === 2 || count === 3));
  if (!isRight) throw new Error(USAGE);
  if (what === undefined || name === undefined) return list(env);
  return what === "test" ? test(env, name) : resend(env, name, event ?? null);
}

/** Status 1 if a webhook is disabled, fails, or has events that were given up. */
function list(env: Env): Promise<number> {
  return asAdmin(env, async (sql) => {
    const rows = await sql`
      select webhook_name, url, array_to_json(event_types) as types, delivered_at::text, failing_since::text, last_error,
        disabled_at::text, disabled_reason, waiting, dead, date_trunc('second', behind)::text as behind, behind = '0' as is_level
      from list_webhooks()`;
    if (rows.length === 0) say("there are no webhooks: set_webhook() in psql, or POST /webhooks");
    for (const row of rows) {
      say(`${row["webhook_name"]} → ${row["url"]}`);
      const types: string[] = row["types"];
      entry("  events", types.length === 0 ? "all" : types.map(typeOf).join(", "));
      entry("  state", stateOf(row));
      entry("  taken", row["delivered_at"] ?? "nothing yet");
      if (row["waiting"] + row["dead"] > 0)
        entry(
          "  not taken",
          `waiting: ${counted(row["waiting"], "coupon")}; given up: ${counted(row["dead"], "event")}; behind: ${row["behind"]}`,
        );
      for (const line of await notTaken(row["webhook_name"], row["disabled_at"] !== null)) say(`    ${line}`);
      const more = row["waiting"] + row["dead"] - SHOWN;
      if (more > 0) say(`    … and ${more} more: list_webhook_deliveries('${row["webhook_name"]}') in psql`);
    }
    return rows.some((row) => row["disabled_at"] || row["failing_since"] || row["dead"] > 0) ? 1 : 0;

    async function notTaken(webhook: string, isDisabled: boolean): Promise<string[]> {
      const left = await sql`
        select event_id, event, coupon_id, attempts, next_attempt_at::text, dead_at::text, last_error
        from list_webhook_deliveries(${webhook}, ${SHOWN}::integer)`;
      return Array.from(left, (one) => {
        const of = `${one["event"] ? typeOf(one["event"]) : "what comes next"} of ${one["coupon_id"] ? `coupon ${one["coupon_id"]}` : "no coupon"}`;
        const again = isDisabled ? "" : `; again ${one["next_attempt_at"]}`;
        const when = one["dead_at"] ? `; given up ${one["dead_at"]}` : again;
        return `${one["event_id"]} ${of}: ${counted(one["attempts"], "attempt")}, ${one["last_error"] ?? "not sent yet"}${when}`;
      });
    }
  });
}

function stateOf(row: Record<string, unknown>): string {
  if (row["disabled_at"]) return `disabled since ${row["disabled_at"]}: ${row["disabled_reason"]}`;
  if (row["failing_since"]) return `failing since ${row["failing_since"]}: ${row["last_error"]}`;
  return row["is_level"] ? "nothing waits" : "sending";
}

/** Sends from here, as a server would, with the settings of here. Status 1 if it was not taken. */
async function test(env: Env, name: string): Promise<number> {
  const [found] = await withSetUp(env, (target) =>
    withConnection(
      target,
      (sql) => sql`select url, array_to_json(secrets) as secrets from webhook_target(${name})`,
      { role: "coupon_api" },
    ),
  );
  if (!found) throw new Error(`there is no webhook ${name}: ./sd webhooks lists them`);
  const allowPrivate = env.WEBHOOKS_ALLOW_PRIVATE === "on";
  const { post, close } = createPost({ allowPrivate });
  const event = {
    specversion: "1.0",
    id: `test-${randomUUID()}`,
    source: "/events",
    type: "webhook.test",
    subject: `webhooks/${name}`,
    time: new Date().toISOString(),
    datacontenttype: "application/json",
    data: {},
  };
  const began = performance.now();
  const { status, error, body } = await post(
    { url: found["url"], secrets: found["secrets"] },
    messageOf(event),
  );
  close();
  say(`webhook.test, id ${event.id} → ${found["url"]}`);
  say(`${status ?? "no answer"} after ${Math.round(performance.now() - began)} ms: ${error ?? "taken"}`);
  if (error !== null && !allowPrivate && JUDGED.test(error))
    say("judged by WEBHOOKS_ALLOW_PRIVATE as it is here (off): the server that sends may have it on");
  if (body !== "") say(`it said: ${shown(body)}`);
  return error === null ? 0 : 1;
}

/** A server sends it, within a second or two. Status 1 if it is disabled: then nothing is sent before it is enabled. */
async function resend(env: Env, name: string, event: string | null): Promise<number> {
  const [row] = await asAdmin(
    env,
    (sql) => sql`
      select r.outcome, r.deliveries, w.disabled_at is not null as is_disabled
      from resend_webhook(${name}, ${event}) r left join list_webhooks() w on w.webhook_name = ${name}`,
  );
  if (row?.["outcome"] === "webhook_not_found")
    throw new Error(`there is no webhook ${name}: ./sd webhooks lists them`);
  const isNothing = row?.["outcome"] === "nothing_to_send";
  const deliveries = counted(row?.["deliveries"], "delivery", "deliveries");
  if (row?.["is_disabled"]) {
    const what = isNothing ? "what has happened since" : deliveries;
    const how = `POST /webhooks/${name}/enable, or enable_webhook('${name}') in psql`;
    say(`${name} is disabled: ${what} will be sent when it is enabled (${how})`);
    return 1;
  }
  if (isNothing) throw new Error("nothing waits, and nothing was given up");
  say(`a server sends ${deliveries} at once; ./sd webhooks says how that went`);
  return 0;
}

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { rows, testDatabase, value } from "../bench/harness/rows.ts";
import { createSender, send } from "../bench/harness/webhooks.ts";
import { connect } from "../db/connect.ts";

const { admin, owner, apiUrl, coupon } = await testDatabase();

test("webhook_not_found, already_enabled, and enabled: it goes on where it was", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  const enable = () => value(admin`select outcome from enable_webhook('crm', 'it is back', 'admin:ops')`);
  assert.equal(await enable(), "webhook_not_found");
  await admin`select from set_webhook('crm', 'https://crm.example/')`;
  assert.equal(await enable(), "already_enabled");
  const sender = createSender(api, randomUUID());
  await sender.claim();
  const waits = await coupon();
  await send(sender, "crm", () => ({ error: "no answer" }));
  await owner`
    insert into coupon.webhook_deliveries (webhook_name, number, place, coupon_id, attempts, dead_at)
    values ('crm', 1, 9, ${waits}, 8, clock_timestamp())`;
  await owner`update coupon.webhooks set paused_until = 'infinity'`;
  await admin`select from disable_webhook('crm')`;
  const lunch = await coupon();
  assert.deepEqual(await sender.next("crm"), []);
  assert.equal(await enable(), "enabled");
  assert.deepEqual(
    await rows(admin`select command, new_values, reason, actor from audit_trail(page_size => 1)`),
    [["enable_webhook", { webhook_name: "crm" }, "it is back", "admin:ops"]],
  );
  assert.deepEqual(
    await rows(admin`select disabled_at, disabled_reason, failing_since from list_webhooks()`),
    [[null, null, null]],
  );
  assert.deepEqual(
    await rows(admin`
      select attempts, next_attempt_at <= clock_timestamp(), dead_at is not null from list_webhook_deliveries('crm')`),
    [
      [0, true, false],
      [8, null, true],
    ],
  );
  assert.deepEqual(await sender.claim(), ["crm"]);
  const { sent } = await send(sender, "crm");
  assert.deepEqual(
    sent.map(({ event, coupon_id }) => [event, coupon_id]),
    [
      ["created", waits],
      ["created", lunch],
      ["webhook_disabled", null],
    ],
  );
});

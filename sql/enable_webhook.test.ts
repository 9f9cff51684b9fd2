import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { testDatabase, value } from "../bench/harness/rows.ts";
import { createSender, send } from "../bench/harness/webhooks.ts";
import { connect } from "../db/connect.ts";

const { admin, apiUrl, coupon } = await testDatabase();

test("webhook_not_found, already_enabled, and enabled: it goes on where it was", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  const enable = () => value(admin`select outcome from enable_webhook('crm')`);
  assert.equal(await enable(), "webhook_not_found");
  await admin`select from set_webhook('crm', 'https://crm.example/')`;
  assert.equal(await enable(), "already_enabled");
  const sender = createSender(api, randomUUID());
  await sender.claim();
  const waits = await coupon();
  await send(sender, "crm", () => ({ error: "no answer" }));
  await admin`select from disable_webhook('crm')`;
  const lunch = await coupon();
  assert.deepEqual(await sender.next("crm"), []);
  assert.equal(await enable(), "enabled");
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

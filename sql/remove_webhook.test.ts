import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { rows, testDatabase, value } from "../bench/harness/rows.ts";
import { createSender, type Given, send } from "../bench/harness/webhooks.ts";
import { connect } from "../db/connect.ts";

const { admin, owner, apiUrl, coupon } = await testDatabase();

test("webhook_not_found, and removed with all that there was", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  const remove = () => value(admin`select outcome from remove_webhook('crm', 'moved', 'admin:ops')`);
  assert.equal(await remove(), "webhook_not_found");
  await admin`select from set_webhook('crm', 'https://crm.example/')`;
  const sender = createSender(api, randomUUID());
  await sender.claim();
  const lunch = await coupon();
  const [{ created_at: createdAt, event_id }] = (await sender.next("crm")) as [Given];
  await send(sender, "crm", () => ({ error: "no answer" }));
  assert.equal(await remove(), "removed");
  for (const table of ["webhooks", "webhook_secrets", "webhook_deliveries"])
    assert.equal((await owner`select from ${owner(`coupon.${table}`)}`).count, 0, table);
  assert.deepEqual(await sender.next("crm"), []);
  assert.deepEqual(await sender.tell("crm", { createdAt, taken: [event_id] }), [false, false]);
  assert.deepEqual(await rows(admin`select old_values, reason, actor from audit_trail(page_size => 1)`), [
    [{ webhook_name: "crm", url: "https://crm.example/", event_types: [] }, "moved", "admin:ops"],
  ]);
  assert.ok(lunch);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase, value } from "../bench/harness/rows.ts";

const { admin } = await testDatabase();

test("webhook_not_found, disabled with an event of its own, already_disabled", async () => {
  const disable = () => value(admin`select outcome from disable_webhook('crm', 'maintenance', 'admin:ops')`);
  assert.equal(await disable(), "webhook_not_found");
  await admin`select from set_webhook('crm', 'https://crm.example/')`;
  assert.equal(await disable(), "disabled");
  assert.equal(await disable(), "already_disabled");
  assert.deepEqual(await rows(admin`select disabled_at is not null, disabled_reason from list_webhooks()`), [
    [true, "by hand"],
  ]);
  assert.deepEqual(
    await rows(admin`select event, coupon_id, user_id, "position", new_values from events()`),
    [["webhook_disabled", null, null, null, { webhook_name: "crm", disabled_reason: "by hand" }]],
  );
  assert.deepEqual(await rows(admin`select command, reason, actor from audit_trail(page_size => 1)`), [
    ["disable_webhook", "maintenance", "admin:ops"],
  ]);
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});

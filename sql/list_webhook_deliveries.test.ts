import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase } from "../bench/harness/rows.ts";
import { createSender, send } from "../bench/harness/webhooks.ts";
import { connect } from "../db/connect.ts";

const { admin, apiUrl, coupon } = await testDatabase();

test("the event of each coupon that waits, the oldest first", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  await admin`select from set_webhook('crm', 'https://crm.example/')`;
  const sender = createSender(api, randomUUID());
  await sender.claim();
  const [lunch, dinner] = [await coupon(), await coupon()];
  await send(sender, "crm", () => ({ status: 400, error: "x".repeat(300) }));
  const told = await rows(admin`
    select event, coupon_id::integer, attempts, next_attempt_at > clock_timestamp(), dead_at, last_attempt_at is not null,
      last_status, length(last_error)
    from list_webhook_deliveries('crm')`);
  assert.deepEqual(told, [
    ["created", lunch, 1, true, null, true, 400, 200],
    ["created", dinner, 1, true, null, true, 400, 200],
  ]);
  assert.deepEqual(
    await rows(admin`select event_id from list_webhook_deliveries('crm', 1)`),
    await rows(admin`select event_id from events(page_size => 1)`),
  );
  assert.deepEqual(await rows(admin`select from list_webhook_deliveries('none')`), []);
  await refusesArgument(admin`select from list_webhook_deliveries(null)`, "webhook_name", "22004");
  for (const size of [0, 1_001])
    await refusesArgument(
      admin`select from list_webhook_deliveries('crm', ${size}::integer)`,
      "page_size",
      "22023",
    );
});

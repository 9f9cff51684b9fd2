import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase } from "../bench/harness/rows.ts";
import { createSender, send } from "../bench/harness/webhooks.ts";
import { connect } from "../db/connect.ts";

const { admin, owner, apiUrl, coupon } = await testDatabase();

test("webhook_not_found, nothing_to_send, and resending what waits and what is dead", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  const resend = async (event: string | null = null) => {
    const [row] =
      await admin`select outcome, deliveries from resend_webhook('crm', ${event}, 'asked by crm', 'admin:ops')`;
    return [row?.["outcome"], row?.["deliveries"]];
  };
  assert.deepEqual(await resend(), ["webhook_not_found", null]);
  await admin`select from set_webhook('crm', 'https://crm.example/')`;
  assert.deepEqual(await resend(), ["nothing_to_send", 0]);

  const sender = createSender(api, randomUUID());
  await sender.claim();
  const [lunch, dinner] = [await coupon(), await coupon()];
  const down = () => ({ error: "no answer" });
  for (let i = 0; i < 8; i++) {
    await send(sender, "crm", ({ coupon_id }) => (i === 0 || coupon_id === lunch ? down() : undefined));
    await owner`
      update coupon.webhook_deliveries set next_attempt_at = clock_timestamp()
      where coupon_id = ${lunch} and next_attempt_at is not null`;
  }
  await sender.next("crm");
  const state = () =>
    rows(admin`
    select coupon_id::integer, attempts, dead_at is not null, next_attempt_at <= clock_timestamp()
    from list_webhook_deliveries('crm')`);
  assert.deepEqual(await state(), [
    [dinner, 1, false, false],
    [lunch, 8, true, null],
  ]);
  const [, dead] = await rows(admin`select event_id from list_webhook_deliveries('crm')`);
  assert.deepEqual(await resend("9-0-1"), ["nothing_to_send", 0]);
  assert.deepEqual(await resend(String(dead)), ["resending", 1]);
  assert.deepEqual(
    (await sender.next("crm")).map(({ coupon_id, is_dead }) => [coupon_id, is_dead]),
    [[lunch, true]],
  );

  // It fails again: nobody sends it until somebody asks.
  await send(sender, "crm", down);
  assert.deepEqual((await state())[1], [lunch, 9, true, null]);
  assert.deepEqual(await sender.next("crm"), []);
  assert.deepEqual(await resend(), ["resending", 2]);
  const { sent } = await send(sender, "crm");
  assert.deepEqual(sent.map(({ coupon_id }) => coupon_id).sort(), [lunch, dinner]);
  await sender.next("crm");
  assert.deepEqual(await state(), []);
  assert.deepEqual(await rows(admin`select command, reason, actor from audit_trail(page_size => 1)`), [
    ["resend_webhook", "asked by crm", "admin:ops"],
  ]);
});

test("also to a webhook that asked to be sent nothing, whatever is wanted again", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  await admin`select from set_webhook('busy', 'https://busy.example/')`;
  const sender = createSender(api, randomUUID());
  await owner`update coupon.webhook_sender set until = clock_timestamp()`;
  await sender.claim();
  const [lunch, dinner] = [await coupon(), await coupon()];
  await send(sender, "busy", () => ({ status: 429, error: "status 429", wait: 86_400 }));
  assert.deepEqual(await sender.next("busy"), []);
  const ids = await rows(admin`select event_id from list_webhook_deliveries('busy')`);
  for (const [i, of] of [lunch, dinner].entries()) {
    await admin`select from resend_webhook('busy', ${String(ids[i])})`;
    assert.deepEqual(
      (await send(sender, "busy")).sent.map(({ coupon_id }) => coupon_id),
      [of],
    );
    await owner`update coupon.webhooks set paused_until = 'infinity'`;
  }
});

test("an event_id that is none is refused", () =>
  refusesArgument(admin`select from resend_webhook('crm', 'x')`, "event_id", "22023"));

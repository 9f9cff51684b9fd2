import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { createThings } from "../../bench/harness/coupons.ts";
import { printed } from "../../bench/harness/printed.ts";
import { openReceiver } from "../../bench/harness/receiver.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { createSender, send } from "../../bench/harness/webhooks.ts";
import { connect } from "../../db/connect.ts";
import { readEnv } from "../env.ts";
import { webhooks } from "./webhooks.ts";

test("webhooks lists, tests and resends", async (t) => {
  const { setupUrl, apiUrl, admin, owner, drop } = await scratchDatabase();
  const receiver = await openReceiver();
  const api = connect(apiUrl);
  t.after(async () => {
    await api.end();
    await receiver.close();
    await drop();
  });
  const env = readEnv({ DATABASE_URL: setupUrl, WEBHOOKS_ALLOW_PRIVATE: "on" }, "");
  assert.deepEqual(await printed(t, () => webhooks(env, [])), [
    "there are no webhooks: set_webhook() in psql, or POST /webhooks",
  ]);
  await assert.rejects(webhooks(env, ["test"]), /^Error: usage: /);
  await assert.rejects(webhooks(env, ["list", "crm"]), /^Error: usage: /);
  await assert.rejects(webhooks(env, ["test", "crm"]), /there is no webhook crm/);
  await assert.rejects(webhooks(env, ["resend", "crm"]), /there is no webhook crm/);

  const [row] = await admin`select secret from set_webhook('crm', ${receiver.url}, '{created,used}')`;
  receiver.verifyWith(row?.["secret"]);
  await assert.rejects(webhooks(env, ["resend", "crm"]), /nothing waits/);
  assert.deepEqual(await printed(t, () => webhooks(env, [])), [
    `crm → ${receiver.url}`,
    "  events    coupon.created, coupon.used",
    "  state     nothing waits",
    "  taken     nothing yet",
  ]);

  const [sent, told] = await printed(t, () => webhooks(env, ["test", "crm"]));
  assert.match(String(sent), /^webhook\.test, id test-[0-9a-f-]{36} → http/);
  assert.match(String(told), /^204 after \d+ ms: taken$/);
  assert.deepEqual(
    receiver.received.map(({ type }) => type),
    ["webhook.test"],
  );
  assert.deepEqual(receiver.invalid, []);
  receiver.respondWith((_, response) => void response.writeHead(500).end("no\x1b disk"));
  const failed = await printed(t, () => webhooks(env, ["test", "crm"]), 1);
  assert.match(String(failed[1]), /^500 after \d+ ms: status 500$/);
  assert.equal(failed[2], "it said: no\\u001b disk");
  const strict = readEnv({ DATABASE_URL: setupUrl }, "");
  const judged = "judged by WEBHOOKS_ALLOW_PRIVATE as it is here (off): the server that sends may have it on";
  for (const [url, why] of [
    [receiver.url, /^no answer .* it is not https/],
    ["https://127.0.0.1:1/", /^no answer .* 127\.0\.0\.1 is not a public address$/],
  ] as const) {
    await admin`select from set_webhook('strict', ${url})`;
    const [, error, by, ...more] = await printed(t, () => webhooks(strict, ["test", "strict"]), 1);
    assert.match(String(error), why);
    assert.deepEqual([by, more], [judged, []]);
  }
  await admin`select from remove_webhook('strict')`;

  const sender = createSender(api, randomUUID());
  await sender.claim();
  const { newCoupon } = createThings(admin, owner);
  const lunch = await newCoupon();
  await send(sender, "crm", () => ({ status: 500, error: "status 500" }));
  const lines = (await printed(t, () => webhooks(env, []), 1)).map((line) =>
    String(line)
      .replaceAll(/\d{4}-\S+ [\d:.]+[+-]\d\d(:\d\d)?/g, "WHEN")
      .replaceAll(/\d+-0-\d+/g, "ID")
      .replace(/behind: .*/, "behind: …"),
  );
  assert.deepEqual(lines, [
    `crm → ${receiver.url}`,
    "  events    coupon.created, coupon.used",
    "  state     failing since WHEN: status 500",
    "  taken     nothing yet",
    "  not taken waiting: 1 coupon; given up: 0 events; behind: …",
    `    ID coupon.created of coupon ${lunch}: 1 attempt, status 500; again WHEN`,
  ]);
  assert.deepEqual(await printed(t, () => webhooks(env, ["resend", "crm"])), [
    "a server sends 1 delivery at once; ./sd webhooks says how that went",
  ]);
  assert.equal((await sender.next("crm")).length, 1);

  await admin`select from disable_webhook('crm')`;
  const disabled = (await printed(t, () => webhooks(env, []), 1)).map((line) =>
    String(line).replaceAll(/\d+-0-\d+/g, "ID"),
  );
  assert.match(String(disabled[2]), /^ {2}state {5}disabled since /);
  assert.equal(disabled.at(-1), `    ID coupon.created of coupon ${lunch}: 1 attempt, status 500`);
  assert.deepEqual(await printed(t, () => webhooks(env, ["resend", "crm"]), 1), [
    "crm is disabled: 1 delivery will be sent when it is enabled (POST /webhooks/crm/enable, or enable_webhook('crm') in psql)",
  ]);
  assert.deepEqual(await sender.next("crm"), []);
  await admin`select from enable_webhook('crm')`;
  for (let i = 0; i < 11; i += 1) await newCoupon();
  await send(sender, "crm", () => ({ status: 500, error: "status 500" }));
  const [waiting, ...left] = (await printed(t, () => webhooks(env, []), 1)).slice(4);
  assert.match(String(waiting), /waiting: 12 coupons; given up: 0 events/);
  assert.deepEqual(
    [left.length, left.at(-1)],
    [11, "    … and 2 more: list_webhook_deliveries('crm') in psql"],
  );
  await admin`select from disable_webhook('crm')`;
  await owner`delete from coupon.webhook_deliveries`;
  assert.deepEqual(await printed(t, () => webhooks(env, ["resend", "crm"]), 1), [
    "crm is disabled: what has happened since will be sent when it is enabled (POST /webhooks/crm/enable, or enable_webhook('crm') in psql)",
  ]);
});

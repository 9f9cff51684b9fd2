import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { rows, testDatabase, value } from "../bench/harness/rows.ts";
import { createSender, send } from "../bench/harness/webhooks.ts";
import { connect } from "../db/connect.ts";

const { admin, apiUrl, coupon, crowd } = await testDatabase();

test("how each is doing, and how far behind", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  const list = () =>
    rows(
      admin`select webhook_name, waiting, dead, behind > interval '0', delivered_at is not null from list_webhooks()`,
    );
  assert.deepEqual(await list(), []);
  await admin`select from set_webhook('b', 'https://crm.example/')`;
  await admin`select from set_webhook('a', 'https://shop.example/')`;
  const lunch = await coupon({ count: 3 });
  await value(admin`select event_id from events('latest')`);
  const sender = createSender(api, randomUUID());
  assert.deepEqual(await sender.claim(), ["a", "b"]);
  await send(sender, "a", () => ({ error: "no answer" }));
  assert.deepEqual(await list(), [
    ["a", 1, 0, true, false],
    ["b", 0, 0, true, false],
  ]);
  await send(sender, "b");
  await admin`select from issue_coupons(${lunch}, ${await crowd(3)}::bigint[])`;
  await send(sender, "b", ({ what }) => (what === "2" ? {} : undefined), 2);
  assert.deepEqual((await list())[1], ["b", 1, 0, true, true]);
  await send(sender, "b");
  await send(sender, "b");
  assert.deepEqual(
    (await list())[1],
    ["b", 1, 0, true, true],
    "the row goes when it is due and has nothing left",
  );
  await send(sender, "b");
  assert.deepEqual((await list())[1], ["b", 0, 0, false, true]);
});

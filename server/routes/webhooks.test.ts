/** Webhooks, as operators set and see them. What is sent: server/webhooks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { INSTANT, routesWorld } from "../../bench/harness/routes.ts";
import { createSender, send } from "../../bench/harness/webhooks.ts";
import { connect } from "../../db/connect.ts";

const { world, asAdmin, asAdminGet, outcomeTests, wrongBodyTests } = routesWorld();

const URL = "https://crm.example/hooks";
const SECRET = /^whsec_[A-Za-z0-9+/]{43}=$/;
let count = 0;
/** A new webhook's name. */
async function created(): Promise<string> {
  const webhook_name = `hook-${++count}`;
  assert.equal((await asAdmin("POST /webhooks", { webhook_name, url: URL })).status, 201);
  return webhook_name;
}
const none = { webhook_name: "none" };
const after = async (name: string, ...steps: string[]) => {
  let answer = await asAdminGet("/webhooks");
  for (const step of steps) answer = await asAdmin(`POST /webhooks/${name}/${step}`);
  return answer;
};

for (const [name, run] of [
  ...outcomeTests("set_webhook", {
    unchanged: async () => {
      const webhook_name = await created();
      return [await asAdmin("POST /webhooks", { webhook_name, url: URL }), { webhook_name }];
    },
    too_many: async () => {
      for (let i = 0; i < 60; i++) await asAdmin("POST /webhooks", { webhook_name: `many-${i}`, url: URL });
      const answer = await asAdmin("POST /webhooks", { webhook_name: "more", url: URL });
      for (let i = 0; i < 60; i++) await asAdmin(`POST /webhooks/many-${i}/remove`);
      return [answer, { webhook_name: "more" }];
    },
    changed: async () => {
      const webhook_name = await created();
      const answer = await asAdmin("POST /webhooks", {
        webhook_name,
        url: URL,
        event_types: ["coupon.used"],
      });
      return [answer, { webhook_name }];
    },
    created: async () => {
      const answer = await asAdmin("POST /webhooks", { webhook_name: "crm", url: URL });
      assert.match(answer.body.secret, SECRET);
      return [answer, { webhook_name: "crm", secret: answer.body.secret }];
    },
  }),
  ...outcomeTests("rotate_webhook_secret", {
    webhook_not_found: async () => [await asAdmin("POST /webhooks/none/rotate-secret"), none],
    rotated: async () => {
      const webhook_name = await created();
      const answer = await after(webhook_name, "rotate-secret");
      assert.match(answer.body.secret, SECRET);
      return [answer, { webhook_name, secret: answer.body.secret }];
    },
  }),
  ...outcomeTests("enable_webhook", {
    webhook_not_found: async () => [await after("none", "enable"), none],
    already_enabled: async () => {
      const webhook_name = await created();
      return [await after(webhook_name, "enable"), { webhook_name }];
    },
    enabled: async () => {
      const webhook_name = await created();
      return [await after(webhook_name, "disable", "enable"), { webhook_name }];
    },
  }),
  ...outcomeTests("disable_webhook", {
    webhook_not_found: async () => [await after("none", "disable"), none],
    already_disabled: async () => {
      const webhook_name = await created();
      return [await after(webhook_name, "disable", "disable"), { webhook_name }];
    },
    disabled: async () => {
      const webhook_name = await created();
      return [await after(webhook_name, "disable"), { webhook_name }];
    },
  }),
  ...outcomeTests("remove_webhook", {
    webhook_not_found: async () => [await after("none", "remove"), none],
    removed: async () => {
      const webhook_name = await created();
      return [await after(webhook_name, "remove"), { webhook_name }];
    },
  }),
  ...outcomeTests("resend_webhook", {
    webhook_not_found: async () => [await after("none", "resend"), none],
    nothing_to_send: async () => {
      const webhook_name = await created();
      return [await after(webhook_name, "resend"), { webhook_name, deliveries: 0 }];
    },
    resending: async () => {
      const webhook_name = await failing();
      return [await after(webhook_name, "resend"), { webhook_name, deliveries: 1 }];
    },
  }),
])
  test(name, run);

/** A webhook that did not take an event. */
async function failing(): Promise<string> {
  const webhook_name = await created();
  await world().newCoupon();
  const api = connect(world().scratch.apiUrl);
  try {
    const sender = createSender(api, "5b1f6b1a-0c6f-4f43-a7d5-6f5f3e7a9a01");
    await sender.claim();
    await send(sender, webhook_name, () => ({ status: 503, error: "status 503" }));
  } finally {
    await api.end();
  }
  return webhook_name;
}

test("the lists: how each webhook is doing, and what it did not take; no secret", async () => {
  const webhook_name = await failing();
  await asAdmin("POST /webhooks", {
    webhook_name,
    url: URL,
    event_types: ["coupon.created", "webhook.disabled"],
  });
  const { body } = await asAdminGet("/webhooks");
  const one = body.webhooks.find((webhook: typeof none) => webhook.webhook_name === webhook_name);
  const { created_at, failing_since, behind, ...rest } = one;
  assert.match(created_at, INSTANT);
  assert.match(failing_since, INSTANT);
  assert.ok(behind > 0);
  assert.deepEqual(rest, {
    webhook_name,
    url: URL,
    event_types: ["coupon.created", "webhook.disabled"],
    delivered_at: null,
    last_status: 503,
    last_error: "status 503",
    disabled_at: null,
    disabled_reason: null,
    second_secret_until: null,
    waiting: 1,
    dead: 0,
  });
  assert.doesNotMatch(JSON.stringify(body), /whsec/);
  const { body: list } = await asAdminGet(`/webhooks/${webhook_name}/deliveries`);
  assert.deepEqual(
    list.deliveries.map(({ type, attempts, last_status }: Record<string, unknown>) => [
      type,
      attempts,
      last_status,
    ]),
    [["coupon.created", 1, 503]],
  );
  const answer = await asAdmin(`POST /webhooks/${webhook_name}/resend`, {
    event_id: list.deliveries[0].event_id,
  });
  assert.deepEqual(answer.body, { outcome: "resending", webhook_name, deliveries: 1 });
  assert.deepEqual((await asAdminGet("/webhooks/none/deliveries")).body, { deliveries: [] });
});

const badUrl = "must be an https:// or http:// URL of visible ASCII, without name and password";
const given = { webhook_name: "crm", url: URL };
for (const [name, run] of wrongBodyTests([
  ["no name", "POST /webhooks", { url: URL }, ["webhook_name", "is needed"]],
  [
    "a bad name",
    "POST /webhooks",
    { ...given, webhook_name: "a b" },
    ["webhook_name", "must be 1 to 64 letters, digits, - or _"],
  ],
  ["a bad URL", "POST /webhooks", { ...given, url: "ftp://a/" }, ["url", badUrl]],
  [
    "no such port",
    "POST /webhooks",
    { ...given, url: "https://crm.example:99999/" },
    ["url", "must be a URL"],
  ],
  ["no such address", "POST /webhooks", { ...given, url: "https://256.1.1.1/" }, ["url", "must be a URL"]],
  ["no host", "POST /webhooks", { ...given, url: "https://%/" }, ["url", "must be a URL"]],
  ["a password", "POST /webhooks", { ...given, url: "https://ann:x@a/" }, ["url", badUrl]],
  ["a letter of no ASCII", "POST /webhooks", { ...given, url: "https://é.example/" }, ["url", badUrl]],
  ["a NUL", "POST /webhooks", { ...given, url: "https://a/\0" }, ["url", "must be valid text"]],
  [
    "a long one",
    "POST /webhooks",
    { ...given, url: `https://a/${"a".repeat(2000)}` },
    ["url", "must have at most 2000 characters"],
  ],
  [
    "no such type",
    "POST /webhooks",
    { ...given, event_types: ["issued"] },
    ["event_types.0", "must be the type of an event"],
  ],
  [
    "a bad place",
    "POST /webhooks",
    { ...given, after: "x" },
    ["after", "must be the id of an event, or latest"],
  ],
  ["no event", "POST /webhooks/crm/resend", { event_id: "x" }, ["event_id", "must be the id of an event"]],
  ["a number as event", "POST /webhooks/crm/resend", { event_id: 1 }, ["event_id", "must be a string"]],
]))
  test(name, run);

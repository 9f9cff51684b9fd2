import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { waiting } from "../bench/harness/waiting.ts";
import { createSender, send } from "../bench/harness/webhooks.ts";
import { connect } from "../db/connect.ts";

const { admin, owner, adminUrl, apiUrl, coupon, watch } = await testDatabase();

const URL = "https://crm.example/hooks?key=1";
const set = async (name: string, url = URL, types = "{}", after: string | null = "latest") => {
  const [row] = await admin`
    select outcome, secret from set_webhook(${name}, ${url}, ${types}::text::event_type[], ${after})`;
  return [row?.["outcome"], row?.["secret"] ?? null];
};
const place = (name: string) =>
  rows(owner`select after_number::integer, after_place from coupon.webhooks where webhook_name = ${name}`);

test("created: with a secret of 32 bytes, which is told this once", async () => {
  const [outcome, secret] = await set("crm");
  assert.equal(outcome, "created");
  assert.match(String(secret), /^whsec_[A-Za-z0-9+/]{43}=$/);
  assert.deepEqual(await set("crm"), ["unchanged", null]);
  assert.deepEqual(await set("crm", URL, "{used,issued,used}"), ["changed", null]);
  assert.deepEqual(await set("crm", URL, "{issued,used}"), ["unchanged", null]);
  assert.deepEqual(await set("crm", "http://127.0.0.1:1/", "{issued,used}"), ["changed", null]);
  assert.deepEqual(await rows(admin`select webhook_name, url, event_types::text from list_webhooks()`), [
    ["crm", "http://127.0.0.1:1/", "{issued,used}"],
  ]);
  assert.deepEqual(
    await rows(admin`
      select command, old_values, new_values->>'url' from audit_trail(page_size => 3) where command = 'set_webhook'`),
    [
      ["set_webhook", { url: URL, event_types: ["issued", "used"] }, "http://127.0.0.1:1/"],
      ["set_webhook", { url: URL, event_types: [] }, URL],
      ["set_webhook", null, URL],
    ],
  );
});

test("another url is another receiver: what the one before answered says nothing of it", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  const sender = createSender(api, randomUUID());
  await set("moved");
  await sender.claim();
  const lunch = await coupon();
  const down = () => ({ status: 503, error: "status 503", wait: 86_400 });
  await send(sender, "moved", down);
  await owner`update coupon.webhooks set failing_since = clock_timestamp() - interval '6 days' where webhook_name = 'moved'`;
  // The same receiver is wanted for other events.
  await set("moved", URL, "{created}");
  assert.deepEqual(await sender.next("moved"), []);
  await set("moved", "https://crm.example/elsewhere", "{created}");
  const { sent, told } = await send(sender, "moved", down);
  assert.deepEqual([sent, told], [[], [true, false]], "it is not disabled");
  assert.deepEqual(
    await rows(admin`
      select coupon_id::integer, attempts from list_webhook_deliveries('moved')`),
    [[lunch, 1]],
  );
  assert.deepEqual(
    await rows(admin`
      select failing_since > clock_timestamp() - interval '1 hour' from list_webhooks() where webhook_name = 'moved'`),
    [[true]],
  );
  await admin`select from remove_webhook('moved')`;
});

test("whoever changes it and whoever sends to it wait for each other, in one order", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  const sender = createSender(api, randomUUID());
  await owner`update coupon.webhook_sender set until = clock_timestamp()`;
  await set("busy");
  await sender.claim();
  await coupon();
  await send(sender, "busy", () => ({ error: "no answer" }));
  await owner`update coupon.webhook_deliveries set next_attempt_at = clock_timestamp()`;
  const [given] = await sender.next("busy");
  const both = await owner.begin(async (sql) => {
    // What is told has the webhook's row by then, and waits.
    await sql`select from coupon.webhook_deliveries for update`;
    const told = sender.tell("busy", {
      createdAt: String(given?.created_at),
      taken: [String(given?.event_id)],
    });
    await waiting(watch);
    const changed = set("busy", "https://crm.example/other");
    await waiting(watch, 2);
    return { answers: Promise.all([told, changed]) };
  });
  assert.deepEqual(await both.answers, [
    [true, false],
    ["changed", null],
  ]);
  await admin`select from remove_webhook('busy')`;
});

test("the same url is taken and refused in a session that reads a backslash in another way", async (t) => {
  const session = connect(adminUrl);
  t.after(() => session.end());
  await session`set standard_conforming_strings = off`;
  const asked = (url: string) => session`select outcome from set_webhook('slash', ${url})`;
  await refusesArgument(asked("https://crm.example\\hooks"), "url", "22023");
  assert.equal(await value(asked("https://[::1]/hooks")), "created");
  await admin`select from remove_webhook('slash')`;
});

test("it begins with what is new, behind an event, or at the beginning", async () => {
  await coupon();
  const [first, last] = [
    String(await value(admin`select event_id from events(page_size => 1)`)),
    String(await value(admin`select event_id from events('latest')`)),
  ];
  const placeOf = (id: string) => [id.split("-").slice(0, 2).map(Number)];
  await set("new");
  await set("behind", URL, "{}", first);
  await set("all", URL, "{}", null);
  assert.deepEqual(await place("new"), placeOf(last));
  assert.deepEqual(await place("behind"), placeOf(first));
  assert.deepEqual(await place("all"), [[1, -1]]);
});

test("two at once: one creates it, the other waits and is told that it is so", async () => {
  const late = await owner.begin(async (sql) => {
    await sql`select from set_webhook('race', ${URL})`;
    const answer = set("race");
    await waiting(watch);
    return { answer };
  });
  assert.deepEqual(await late.answer, ["unchanged", null]);
});

test("too_many: there are 50", async () => {
  for (let i = (await admin`select from list_webhooks()`).count; i < 50; i++)
    assert.equal((await set(`w${i}`))[0], "created");
  assert.deepEqual(await set("one-more"), ["too_many", null]);
  assert.deepEqual(await set("crm", URL), ["changed", null]);
});

test("arguments that no webhook can have are refused", async () => {
  for (const url of [
    "ftp://crm.example/",
    "crm.example",
    "https://",
    "https:///path",
    "https://ann:secret@crm.example/",
    "https://crm.example/a b",
    "https://crm.example/ä",
    "https://crm.example/\n",
    "https://crm.example:port/",
    "https://crm.example:123456/",
    "https://2001:db8::1/",
    "https://[zz]/",
    "https://[2001:db8::1/",
    "https://<crm.example>/",
    `https://crm.example/${"a".repeat(2_000)}`,
  ])
    await refusesArgument(admin`select from set_webhook('other', ${url})`, "url", "22023");
  await refusesArgument(admin`select from set_webhook('other', null)`, "url", "22004");
  await refusesArgument(admin`select from set_webhook(null, ${URL})`, "webhook_name", "22004");
  for (const name of ["", "a b", "ä", "a".repeat(65)])
    await refusesArgument(admin`select from set_webhook(${name}, ${URL})`, "webhook_name", "22023");
  await refusesArgument(admin`select from set_webhook('other', ${URL}, null)`, "event_types", "22004");
  await refusesArgument(admin`select from set_webhook('other', ${URL}, '{null}')`, "event_types", "22023");
  await refusesArgument(
    admin`select from set_webhook('other', ${URL}, '{{paused}}')`,
    "event_types",
    "22023",
  );
  await admin`select from remove_webhook('w49')`;
  await refusesArgument(admin`select from set_webhook('other', ${URL}, after => '1-0-5')`, "after", "22023");
});

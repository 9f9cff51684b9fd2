import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, test } from "node:test";
import { assertReads, reads } from "../bench/harness/reads.ts";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { createSender, type Given, send } from "../bench/harness/webhooks.ts";
import { connect } from "../db/connect.ts";

const { admin, owner, apiUrl, coupon, crowd, user, use, issue } = await testDatabase();
const api = connect(apiUrl);
after(() => api.end());
const sender = createSender(api, randomUUID());

/** A webhook of its own that this process sends to. */
async function hook(name: string, types = "{}"): Promise<string> {
  await admin`select from set_webhook(${name}, 'https://crm.example/', ${types}::text::event_type[])`;
  await sender.claim();
  return name;
}

const told = (events: readonly Given[]) =>
  events.map(({ event, coupon_id, what }) => [event, coupon_id, what]);

test("all that happens, in its order, page by page", async () => {
  const crm = await hook("all");
  const lunch = await coupon({ count: 3 });
  const [ann, ben, eve] = (await crowd(3)) as [number, number, number];
  await admin`select from issue_coupons(${lunch}, ${[ann, ben, eve]}::bigint[])`;
  await use(ben, lunch, "order-1");
  const all: Given[] = [];
  const sizes: number[] = [];
  for (;;) {
    const { sent } = await send(sender, crm, undefined, 2);
    if (sent.length === 0) break;
    sizes.push(sent.length);
    all.push(...sent);
  }
  assert.deepEqual(sizes, [2, 2, 2]);
  assert.deepEqual(told(all), [
    ["created", lunch, null],
    ["issued", lunch, "1"],
    ["issued", lunch, "2"],
    ["used", lunch, "order-1"],
    ["issued", lunch, "3"],
    ["sold_out", lunch, "3"],
  ]);
  assert.deepEqual(
    all.map(({ event_id }) => event_id),
    (await rows(admin`select event_id from events(page_size => 6)`)).flat(),
  );
});

test("what is given is given again until it is told", async () => {
  const crm = await hook("again");
  const lunch = await coupon();
  const first = await sender.next(crm);
  assert.deepEqual(told(first), [["created", lunch, null]]);
  assert.deepEqual(await sender.next(crm), first);
  await send(sender, crm);
  const version = () => value(owner`select ctid::text from coupon.webhooks where webhook_name = ${crm}`);
  const before = await version();
  assert.deepEqual(await sender.next(crm), []);
  assert.equal(await version(), before, "nothing is written while nothing happens");
});

test("only the types that are wanted; the others are passed over without a call", async () => {
  const crm = await hook("some", "{sold_out,used}");
  const lunch = await coupon({ count: 300 });
  const users = await crowd(300);
  await admin`select from issue_coupons(${lunch}, ${users}::bigint[])`;
  await use(users[7] as number, lunch, "order-1");
  await admin`select from pause_coupon(${lunch})`;
  assert.deepEqual(told((await send(sender, crm, undefined, 10)).sent), [
    ["used", lunch, "order-1"],
    ["sold_out", lunch, "300"],
  ]);
  await admin`select from resume_coupon(${lunch})`;
  assert.deepEqual(await sender.next(crm), []);
  // It stands at the end, though nothing was sent.
  assert.deepEqual(
    await rows(owner`
      select w.after_number = g.last_number from coupon.webhooks w, coupon.gathered g where w.webhook_name = 'some'`),
    [[true]],
  );
});

test("who wants one event of very many gets it", async () => {
  const crm = await hook("rare", "{paused}");
  const lunch = await coupon();
  // As many rows as are looked at in one call, twice.
  await owner.begin(async (sql) => {
    await sql`
      insert into coupon.audit (command, coupon_id, new_values)
      select 'edit_coupon', ${lunch}, jsonb_build_object('message', c.message)
      from coupon.coupons c, generate_series(1, 20001) where c.id = ${lunch}`;
  });
  await admin`select from pause_coupon(${lunch})`;
  const counts: number[] = [];
  for (let i = 0; i < 4; i++) counts.push((await send(sender, crm)).sent.length);
  assert.deepEqual(counts, [0, 0, 1, 0]);
});

test("while an event of a coupon waits, so do its later ones, and other coupons go on", async () => {
  const crm = await hook("order");
  const [lunch, dinner] = [await coupon(), await coupon()];
  const failed = await send(sender, crm, ({ coupon_id }) =>
    coupon_id === lunch ? { status: 500, error: "status 500" } : undefined,
  );
  assert.deepEqual([told(failed.sent), failed.told], [[["created", dinner, null]], [true, false]]);
  const [ann, ben] = [await user(), await user()];
  await issue(ann, lunch);
  await issue(ben, dinner);
  assert.deepEqual(told((await send(sender, crm)).sent), [["issued", dinner, "1"]]);
  assert.deepEqual(await sender.next(crm), []);
  await owner`update coupon.webhook_deliveries set next_attempt_at = clock_timestamp()`;
  assert.deepEqual(told((await send(sender, crm)).sent), [
    ["created", lunch, null],
    ["issued", lunch, "1"],
  ]);
  // It has caught up: nothing is left of it, and its next event comes with the page.
  await use(ann, lunch, "order-1");
  assert.deepEqual(told((await send(sender, crm)).sent), [["used", lunch, "order-1"]]);
  assert.deepEqual(await rows(owner`select from coupon.webhook_deliveries where webhook_name = ${crm}`), []);
});

test("of a coupon that waits within the grants of one call, each grant comes once", async () => {
  const crm = await hook("within");
  const lunch = await coupon({ count: 9 });
  await send(sender, crm);
  await admin`select from issue_coupons(${lunch}, ${await crowd(9)}::bigint[])`;
  const first = await send(sender, crm, ({ what }) => (what === "3" ? { error: "no answer" } : undefined), 5);
  const second = await send(sender, crm, undefined, 5);
  await owner`update coupon.webhook_deliveries set next_attempt_at = clock_timestamp()`;
  const third = await send(sender, crm);
  assert.deepEqual(
    [first, second, third].map(({ sent }) => sent.map(({ what }) => what)),
    [["1", "2"], [], ["3", "4", "5", "6", "7", "8", "9", "9"]],
  );
});

test("also if it is due before the page is past them", async () => {
  const crm = await hook("amid");
  const lunch = await coupon({ count: 9 });
  await send(sender, crm);
  await admin`select from issue_coupons(${lunch}, ${await crowd(9)}::bigint[])`;
  const sent: unknown[] = [];
  const go = async (
    ...given: Parameters<typeof send> extends [unknown, unknown, ...infer Rest] ? Rest : never
  ) => sent.push((await send(sender, crm, ...given)).sent.map(({ what }) => what));
  await go(({ what }) => (what === "3" ? { error: "no answer" } : undefined), 5);
  for (let i = 0; i < 8; i++) {
    await owner`update coupon.webhook_deliveries set next_attempt_at = clock_timestamp() where webhook_name = ${crm}`;
    await go(undefined, 1);
  }
  assert.deepEqual(sent, [["1", "2"], ["3", "4", "5"], ["6"], ["7"], ["8"], ["9"], ["9"], [], []]);
});

test("what waits and is not wanted any more is passed over; what is gone with its coupon too", async () => {
  const crm = await hook("unwanted");
  const lunch = await coupon();
  await send(sender, crm, () => ({ error: "no answer" }));
  await admin`select from pause_coupon(${lunch})`;
  await send(sender, crm);
  await admin`select from set_webhook(${crm}, 'https://crm.example/', '{paused}')`;
  await owner`update coupon.webhook_deliveries set next_attempt_at = clock_timestamp()`;
  assert.deepEqual(told((await send(sender, crm)).sent), [["paused", lunch, null]]);
});

/** Not before the test says so, however slow the machine is. */
const later = (name: string) => owner`
  update coupon.webhook_deliveries set next_attempt_at = 'infinity' where webhook_name = ${name}`;

test("many events of others are not read for a coupon that waits, and its own are passed over at last", async () => {
  const crm = await hook("long", "{created,paused}");
  const coupons: number[] = [];
  for (let i = 0; i < 26; i++) coupons.push(await coupon());
  const failed = await send(sender, crm, () => ({ error: "no answer" }));
  assert.deepEqual(failed.told, [true, false]);
  await later(crm);
  const [busy] = coupons as [number];
  await owner.begin(async (sql) => {
    await sql`
      insert into coupon.audit (command, coupon_id, new_values)
      select 'edit_coupon', ${busy}, jsonb_build_object('message', c.message)
      from coupon.coupons c, generate_series(1, 1200) where c.id = ${busy}`;
  });
  await admin`select from events('latest', 1)`;
  assert.deepEqual(await sender.next(crm), [], "all is passed over, and nothing is due yet");
  // What failed has arrived, and all that is left of them are the many of the first, which nobody wants.
  await owner`
    update coupon.webhook_deliveries d
    set next_attempt_at = now() - d.coupon_id * interval '1 ms', attempts = 0, place = place + 1
    where d.webhook_name = ${crm}`;
  const call = () =>
    reads(
      owner,
      ["events_by_coupon", "events_pkey", "events_tell_a_change_once", "events_tell_a_grant_once"],
      (sql) => sql`select from next_webhook_events(${sender.sender}, ${crm})`,
    );
  const waiting = async () =>
    (
      await rows(owner`
        select coupon_id::integer from coupon.webhook_deliveries where webhook_name = ${crm} order by coupon_id`)
    ).flat();
  // Twenty of them have caught up: the row of each is read twice, and one where the page begins.
  assertReads(await call(), 0, [40, 1, 0, 0]);
  assert.deepEqual(await waiting(), coupons.slice(0, 6));
  await owner`update coupon.webhook_deliveries set next_attempt_at = '-infinity' where webhook_name = ${crm}`;
  assertReads(await call(), 0, [5 * 2 + 1_200 + 1_201, 1, 0, 0]);
  assert.deepEqual(await waiting(), []);
});

test("of a coupon with very many events that nobody wants, so many are passed over in a call", async () => {
  const crm = await hook("busy", "{created,paused}");
  const lunch = await coupon();
  await send(sender, crm, () => ({ error: "no answer" }));
  await later(crm);
  await owner.begin(async (sql) => {
    await sql`
      insert into coupon.audit (command, coupon_id, new_values)
      select 'edit_coupon', ${lunch}, jsonb_build_object('message', c.message)
      from coupon.coupons c, generate_series(1, 15000) where c.id = ${lunch}`;
  });
  await admin`select from pause_coupon(${lunch})`;
  for (let i = 0; i < 2; i++) assert.deepEqual(await sender.next(crm), []);
  await admin`select from set_webhook(${crm}, 'https://crm.example/', '{paused}')`;
  const due = () => owner`
    update coupon.webhook_deliveries set next_attempt_at = clock_timestamp() where webhook_name = ${crm}`;
  await due();
  const sent: unknown[] = [];
  for (let i = 0; i < 4; i++) sent.push(told((await send(sender, crm)).sent));
  assert.deepEqual(sent, [[], [["paused", lunch, null]], [], []]);
  assert.deepEqual(await rows(owner`select from coupon.webhook_deliveries where webhook_name = ${crm}`), []);
});

test("it gathers nothing itself, and holds up nobody who does", async () => {
  const crm = await hook("still");
  await coupon();
  const given = await api`select from next_webhook_events(${sender.sender}, ${crm})`;
  assert.equal(given.count, 0);
  assert.equal((await sender.next(crm)).length, 1);
});

test("nothing for another process, and arguments", async () => {
  const crm = await hook("mine");
  await coupon();
  const other = createSender(api, randomUUID());
  assert.deepEqual(await other.next(crm), []);
  assert.equal((await sender.next(crm)).length, 1);
  await refusesArgument(api`select from next_webhook_events(null, 'mine')`, "sender", "22004");
  await refusesArgument(
    api`select from next_webhook_events(${sender.sender}, null)`,
    "webhook_name",
    "22004",
  );
  for (const size of [0, 1_001])
    await refusesArgument(
      api`select from next_webhook_events(${sender.sender}, 'mine', ${size}::integer)`,
      "page_size",
      "22023",
    );
  assert.equal(
    await value(api`select count(*)::integer from next_webhook_events(${sender.sender}, 'none')`),
    0,
  );
});

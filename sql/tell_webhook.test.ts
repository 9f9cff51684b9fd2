import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, test } from "node:test";
import { refusesArgument, rows, testDatabase } from "../bench/harness/rows.ts";
import { createSender, type Given, send } from "../bench/harness/webhooks.ts";
import { connect } from "../db/connect.ts";

const { admin, owner, apiUrl, coupon, crowd, user, use } = await testDatabase();
const api = connect(apiUrl);
after(() => api.end());
const sender = createSender(api, randomUUID());

async function hook(name: string): Promise<string> {
  await admin`select from set_webhook(${name}, 'https://crm.example/')`;
  await sender.claim();
  return name;
}
async function due(): Promise<void> {
  await owner`update coupon.webhooks set paused_until = null`;
  await owner`update coupon.webhook_deliveries set next_attempt_at = clock_timestamp() where next_attempt_at is not null`;
}
const failing = (name: string, since: string) => owner`
  update coupon.webhooks set failing_since = clock_timestamp() - ${since}::text::interval where webhook_name = ${name}`;
const down = () => ({ status: 503, error: "status 503" });

test("an event that fails is sent after 5 s, 5 and 30 min, 2, 5, 10 and 14 h, and is dead then", async () => {
  const crm = await hook("pauses");
  const lunch = await coupon();
  await admin`select from pause_coupon(${lunch})`;
  const pauses = ["5 s", "5 min", "30 min", "2 h", "5 h", "10 h", "14 h"];
  for (const [i, pause] of pauses.entries()) {
    await send(sender, crm, down);
    assert.deepEqual(
      await rows(owner`
        select attempts, last_status, last_error, dead_at is null,
          next_attempt_at - last_attempt_at between ${pause}::text::interval and ${pause}::text::interval * 1.1
        from coupon.webhook_deliveries where webhook_name = ${crm}`),
      [[i + 1, 503, "status 503", true, true]],
    );
    await due();
  }
  await send(sender, crm, down);
  assert.deepEqual(
    await rows(admin`
      select event, attempts, dead_at is not null, next_attempt_at is not null from list_webhook_deliveries(${crm})`),
    [
      // The next one of the coupon has its turn.
      [null, 0, false, true],
      ["created", 8, true, false],
    ],
  );
  assert.deepEqual(
    (await send(sender, crm)).sent.map(({ event }) => event),
    ["paused"],
  );
  assert.deepEqual(await rows(admin`select waiting, dead from list_webhooks() where webhook_name = ${crm}`), [
    [1, 1],
  ]);
  // It has caught up, and what is dead holds up nothing that comes with the page.
  assert.deepEqual((await send(sender, crm)).sent, []);
  await admin`select from resume_coupon(${lunch})`;
  assert.deepEqual(
    (await send(sender, crm)).sent.map(({ event }) => event),
    ["resumed"],
  );
  assert.deepEqual(await rows(admin`select waiting, dead from list_webhooks() where webhook_name = ${crm}`), [
    [0, 1],
  ]);
});

test("what failed together is not sent together again", async () => {
  const crm = await hook("together");
  for (let i = 0; i < 3; i++) await coupon();
  await send(sender, crm, down);
  const times = await rows(
    owner`select next_attempt_at::text from coupon.webhook_deliveries where webhook_name = ${crm}`,
  );
  assert.equal(new Set(times.flat()).size, 3);
});

test("what is told late takes nothing back: the coupon waits where it waits", async () => {
  const crm = await hook("belated");
  const lunch = await coupon({ count: 4 });
  await send(sender, crm);
  await admin`select from issue_coupons(${lunch}, ${await crowd(4)}::bigint[])`;
  const given = await sender.next(crm);
  const [{ created_at: createdAt, page_end: pageEnd }, ...ids] = [
    given[0] as Given,
    ...given.map(({ event_id }) => event_id),
  ];
  const [first = "", second = "", third = ""] = ids;
  await sender.tell(crm, { createdAt, pageEnd, taken: [second], stopped: [{ event_id: third, ...down() }] });
  const waits = () =>
    rows(
      owner`select number, place, attempts, last_status from coupon.webhook_deliveries where webhook_name = ${crm}`,
    );
  const before = await waits();
  assert.deepEqual(await sender.tell(crm, { createdAt, taken: [first] }), [true, false]);
  assert.deepEqual(await waits(), before);
});

test("a receiver that asks for more time gets it, up to a day", async () => {
  const crm = await hook("slower");
  await coupon();
  for (const [wait, pause] of [
    [60, "60 s"],
    [1, "5 min"],
    [1_000_000, "24 h"],
  ] as const) {
    await send(sender, crm, () => ({ status: 429, error: "status 429", wait }));
    assert.deepEqual(
      await rows(owner`
        select next_attempt_at - last_attempt_at between ${pause}::text::interval and ${pause}::text::interval * 1.1
        from coupon.webhook_deliveries where webhook_name = ${crm}`),
      [[true]],
      pause,
    );
    await due();
  }
});

test("who asks to wait is sent nothing meanwhile, of other coupons neither, by whichever process", async () => {
  const crm = await hook("peace");
  const [lunch, dinner] = [await coupon(), await coupon()];
  const busy = (wait: number) => ({ status: 429, error: "status 429", wait });
  await send(sender, crm, ({ coupon_id }) => (coupon_id === lunch ? busy(3_600) : undefined));
  await admin`select from pause_coupon(${dinner})`;
  await sender.claim(true);
  const next = createSender(api, randomUUID());
  await next.claim();
  assert.deepEqual(await next.next(crm), []);
  // What was under way and asks for less, or for nothing, takes nothing of it back.
  const [row] = await owner`select created_at::text from coupon.webhooks where webhook_name = ${crm}`;
  const createdAt = String(row?.["created_at"]);
  const [{ event_id } = {}] = await admin`select event_id from list_webhook_deliveries(${crm})`;
  for (const stop of [busy(5), down(), { wait: 86_400 }])
    await next.tell(crm, { createdAt, stopped: [{ event_id: String(event_id), ...stop }] });
  assert.deepEqual(
    await rows(owner`
      select paused_until - clock_timestamp() between interval '59 minutes' and interval '1 hour'
      from coupon.webhooks where webhook_name = ${crm}`),
    [[true]],
  );
  await owner`update coupon.webhooks set paused_until = clock_timestamp() where webhook_name = ${crm}`;
  assert.deepEqual(
    (await send(next, crm)).sent.map(({ event, coupon_id }) => [event, coupon_id]),
    [["paused", dinner]],
  );
  await next.claim(true);
  await sender.claim();
});

test("what was not sent, since its time was over, is due at once and no attempt", async () => {
  const crm = await hook("late");
  const [lunch, dinner] = [await coupon(), await coupon()];
  const { sent } = await send(sender, crm, ({ coupon_id }) => (coupon_id === dinner ? {} : undefined));
  assert.deepEqual(
    sent.map(({ coupon_id }) => coupon_id),
    [lunch],
  );
  assert.deepEqual(
    await rows(
      owner`select attempts, last_attempt_at from coupon.webhook_deliveries where webhook_name = ${crm}`,
    ),
    [[0, null]],
  );
  assert.deepEqual(
    (await send(sender, crm)).sent.map(({ coupon_id }) => coupon_id),
    [dinner],
  );
});

test("what was broken off is no attempt: it is due at once, with what came of the one before", async () => {
  const crm = await hook("broken");
  await coupon();
  for (let i = 0; i < 6; i++) {
    await send(sender, crm, down);
    await due();
  }
  await send(sender, crm, () => ({}));
  assert.deepEqual(
    await rows(owner`
      select attempts, next_attempt_at <= clock_timestamp(), last_attempt_at is not null, last_status, last_error
      from coupon.webhook_deliveries where webhook_name = ${crm}`),
    [[6, true, true, 503, "status 503"]],
  );
});

test("one that was removed and set anew meanwhile is another one, and nothing of it is changed", async () => {
  const crm = await hook("anew");
  const lunch = await coupon();
  const [{ created_at: createdAt, page_end: pageEnd, event_id }] = (await sender.next(crm)) as [Given];
  await admin`select from remove_webhook(${crm})`;
  await admin`select from set_webhook(${crm}, 'https://other.example/', after => null)`;
  const place = () =>
    rows(owner`
      select after_number::integer, after_place, failing_since, delivered_at from coupon.webhooks where webhook_name = ${crm}`);
  for (const told of [{ taken: [event_id] }, { stopped: [{ event_id, ...down() }] }])
    assert.deepEqual(await sender.tell(crm, { createdAt, pageEnd, ...told }), [false, false]);
  assert.deepEqual(await place(), [[1, -1, null, null]]);
  const { sent } = await send(sender, crm, undefined, 1_000);
  assert.deepEqual(sent[0]?.event_id, (await admin`select event_id from events(null, 1)`)[0]?.["event_id"]);
  assert.equal(sent.at(-1)?.coupon_id, lunch);
});

test("who has taken nothing for 5 days is disabled, which is an event", async () => {
  const crm = await hook("away");
  await coupon();
  assert.deepEqual((await send(sender, crm, down)).told, [true, false]);
  await failing(crm, "4 days 23 hours");
  await due();
  assert.deepEqual((await send(sender, crm, down)).told, [true, false]);
  await failing(crm, "5 days 1 second");
  await due();
  assert.deepEqual((await send(sender, crm, down)).told, [true, true]);
  assert.deepEqual(
    await rows(
      admin`select disabled_reason, last_status, last_error from list_webhooks() where webhook_name = ${crm}`,
    ),
    [["it has taken nothing for 5 days", 503, "status 503"]],
  );
  const [last] = await admin`select event, new_values->>'webhook_name' as name from events('latest')`;
  assert.deepEqual(last, { event: "webhook_disabled", name: crm });
  assert.deepEqual(await rows(admin`select command, actor from audit_trail(page_size => 1)`), [
    ["disable_webhook", "server:webhooks"],
  ]);
});

test("who took something meanwhile is not", async () => {
  const crm = await hook("limping");
  const lunch = await coupon();
  const refuses = ({ coupon_id }: Given) => (coupon_id === lunch ? down() : undefined);
  await send(sender, crm, refuses);
  await failing(crm, "6 days");
  await coupon();
  await due();
  assert.deepEqual((await send(sender, crm, refuses)).told, [true, false]);
  assert.deepEqual(
    await rows(
      admin`select failing_since, delivered_at is not null from list_webhooks() where webhook_name = ${crm}`,
    ),
    [[null, true]],
  );
});

test("410 Gone disables at once, and once, whatever else failed", async () => {
  const crm = await hook("gone");
  const lunch = await coupon();
  await coupon();
  const [first] = (await sender.next(crm)) as [Given];
  const gone = { status: 410, error: "status 410" };
  const { told } = await send(sender, crm, ({ coupon_id }) => (coupon_id === lunch ? down() : gone));
  assert.deepEqual(told, [true, true]);
  // What was on its way meanwhile.
  const stopped = [{ event_id: first.event_id, ...gone }];
  assert.deepEqual(await sender.tell(crm, { createdAt: first.created_at, stopped }), [true, false]);
  assert.deepEqual(
    await rows(admin`select disabled_reason from list_webhooks() where webhook_name = ${crm}`),
    [["it answered 410 Gone"]],
  );
});

test("a process that another one has followed is told nothing, and changes nothing", async () => {
  const crm = await hook("followed");
  await coupon();
  const given = await sender.next(crm);
  const [{ created_at: createdAt, page_end: pageEnd, event_id }] = given as [Given];
  await owner`update coupon.webhook_sender set until = clock_timestamp()`;
  const next = createSender(api, randomUUID());
  await next.claim();
  assert.deepEqual(await sender.tell(crm, { createdAt, pageEnd, taken: [event_id] }), [false, false]);
  assert.deepEqual(await next.next(crm), given);
  await next.claim(true);
  await sender.claim();
});

test("whatever fails, of each coupon all that is not dead arrives once and in order", async () => {
  const crm = await hook("chaos");
  const start = (await admin`select event_id from events('latest')`)[0]?.["event_id"] as string;
  let seed = 7;
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed / 2_147_483_648;
  };
  const poison = new Set<string>();
  const arrived: string[] = [];
  const round = async () => {
    const { sent } = await send(
      sender,
      crm,
      ({ event_id }) => {
        if (random() < 0.01) poison.add(event_id);
        if (poison.has(event_id)) return { status: 400, error: "status 400" };
        if (random() < 0.2) return random() < 0.5 ? {} : { error: "no answer" };
        return undefined;
      },
      1 + Math.floor(random() * 20),
    );
    arrived.push(...sent.map(({ event_id }) => event_id));
    if (random() < 0.5) await due();
  };
  const coupons = [await coupon({ count: 30 }), await coupon({ count: 40 }), await coupon({ count: 50 })];
  for (let i = 0; i < 60; i++) {
    const of = coupons[Math.floor(random() * 3)] as number;
    const holders = await crowd(1 + Math.floor(random() * 3));
    await admin`select from issue_coupons(${of}, ${holders}::bigint[])`;
    await use(holders[0] as number, of, `order-${i}`);
    await round();
  }
  const left = async () =>
    (
      await owner`
        select from coupon.webhooks w, coupon.gathered g
        where w.webhook_name = ${crm} and (w.after_number < g.last_number
          or exists (select from coupon.webhook_deliveries d where d.webhook_name = ${crm} and d.dead_at is null))`
    ).count;
  for (let i = 0; (await left()) > 0; i++) {
    assert.ok(i < 1_000, "it ends");
    await round();
    await due();
  }
  const dead = (await rows(admin`select event_id from list_webhook_deliveries(${crm}, 1000)`)).flat();
  assert.ok(dead.length > 0);
  assert.ok(dead.every((id) => poison.has(String(id))));
  const all =
    (await admin`select event_id, coupon_id::text as of from events(${start}, 1000)`) as unknown as {
      event_id: string;
      of: string;
    }[];
  assert.equal(arrived.length, new Set(arrived).size, "none twice");
  for (const of of coupons.map(String)) {
    const ids = all.filter((event) => event.of === of).map(({ event_id }) => event_id);
    const isOf = new Set(ids);
    assert.deepEqual(
      arrived.filter((id) => isOf.has(id)),
      ids.filter((id) => !dead.includes(id)),
    );
  }
});

test("arguments that tell nothing are refused", async () => {
  const call = (
    told: Partial<Record<"page_end" | "taken" | "stopped" | "statuses" | "errors" | "waits", string | null>>,
  ) => {
    const {
      page_end = null,
      taken = "{}",
      stopped = "{}",
      statuses = "{}",
      errors = "{}",
      waits = "{}",
    } = told;
    return api`
      select from tell_webhook(${sender.sender}, 'pauses', now(), ${page_end}, ${taken}::text::text[], ${stopped}::text::text[],
        ${statuses}::text::integer[], ${errors}::text::text[], ${waits}::text::integer[])`;
  };
  for (const page_end of ["x", "1-2147483647", "1-9999999999", "999999999999999999-0"])
    await refusesArgument(call({ page_end }), "page_end", "22023");
  await refusesArgument(
    api`select from tell_webhook(${sender.sender}, 'pauses', null, null, '{}', '{}', '{}', '{}', '{}')`,
    "created_at",
    "22004",
  );
  await refusesArgument(call({ taken: null }), "taken", "22023");
  await refusesArgument(call({ taken: "{1-0}" }), "taken", "22023");
  await refusesArgument(call({ stopped: "{null}" }), "stopped", "22023");
  for (const name of ["statuses", "errors", "waits"] as const) {
    await refusesArgument(call({ [name]: "{1}" }), name, "22023");
    await refusesArgument(call({ [name]: null }), name, "22023");
  }
  assert.ok(await user());
});

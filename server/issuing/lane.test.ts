import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createAdaptorServer } from "@hono/node-server";
import { bound, holdCoupon, openWorld, userToken } from "../../bench/harness/app.ts";
import { createClock, settled } from "../../bench/harness/clock.ts";
import { untilBlockedBy, untilWaiting } from "../../bench/harness/waiting.ts";
import { HungUp, Overloaded } from "../api/failures.ts";
import { DatabaseError } from "../database/errors.ts";
import { createLanes, type LaneLimits } from "./lane.ts";

const LIMITS = { maxBatch: 4, maxQueue: 100, maxWaitMs: 10_000 };

interface Sent {
  key: number;
  items: string[];
  answer(results?: string[]): void;
  fail(error: unknown): void;
}

/** Lanes whose batches wait in `sent` until the test answers them; by default each item is answered in capitals. */
function heldLanes(limits: Partial<LaneLimits> = {}) {
  const clock = createClock();
  const sent: Sent[] = [];
  const lanes = createLanes<string, string>(
    (key, items) =>
      new Promise((resolve, reject) => {
        const answer = (results = items.map((item) => item.toUpperCase())) => resolve(results);
        sent.push({ key, items, answer, fail: reject });
      }),
    { ...LIMITS, ...limits },
    clock,
  );
  const submit = (items: string, key = 1) => [...items].map((item) => lanes.submit(key, item));
  return { clock, lanes, sent, submit };
}

/** Lanes with an answer for each batch; `sent` says which there were. */
function answeringLanes(answer: (items: string[]) => string[], limits: Partial<LaneLimits> = {}) {
  const sent: string[] = [];
  const lanes = createLanes<string, string>(
    async (_, items) => {
      sent.push(items.join(""));
      return answer(items);
    },
    { ...LIMITS, ...limits },
  );
  /** The outcome of each item: its result, or the message of its error. */
  const submit = (items: string) =>
    Promise.all([...items].map((item) => lanes.submit(1, item).catch((error: Error) => error.message)));
  return { lanes, sent, submit };
}

const failure = (kind: DatabaseError["kind"], sqlstate = "XXXXX") => new DatabaseError(kind, sqlstate, kind);

test("the array of results is empty once all are told", async () => {
  let results: string[] = [];
  const { submit } = answeringLanes((items) => {
    results = [...items];
    return results;
  }, {});
  assert.deepEqual(await submit("abc"), ["a", "b", "c"]);
  assert.deepEqual(results, []);
});

test("an idle lane sends at once", () => {
  const { lanes, sent, submit } = heldLanes();
  submit("a");
  assert.deepEqual([sent[0]?.key, sent[0]?.items, lanes.queued()], [1, ["a"], 0]);
});

test("the next batch is sent before the answers of the last one are told", async () => {
  const { sent, submit } = heldLanes();
  const order: string[] = [];
  const [a] = submit("a");
  submit("b");
  void a?.then(() => order.push(`a told with ${sent.length} sent`));
  sent[0]?.answer();
  await settled();
  assert.deepEqual(order, ["a told with 2 sent"]);
});

test("who hangs up while waiting gives the place back, and is not sent", async () => {
  const { lanes, sent, submit } = heldLanes({ maxQueue: 2 });
  submit("a");
  let hangUp = () => {};
  const gone = lanes.submit(1, "b", (listener) => {
    hangUp = listener;
  });
  const [c] = submit("c");
  await assert.rejects(lanes.submit(1, "d"), Overloaded);
  hangUp();
  await assert.rejects(gone, HungUp);
  const e = lanes.submit(1, "e");
  assert.equal(lanes.queued(), 2);
  sent[0]?.answer();
  await settled();
  assert.deepEqual([sent[1]?.items, lanes.queued()], [["c", "e"], 0]);
  sent[1]?.answer();
  assert.deepEqual(await Promise.all([c, e]), ["C", "E"]);
});

test("who hangs up after the batch was sent changes nothing", async () => {
  const { lanes, sent, submit } = heldLanes();
  submit("a");
  let hangUp = () => {};
  const b = lanes.submit(1, "b", (listener) => {
    hangUp = listener;
  });
  sent[0]?.answer();
  await settled();
  hangUp();
  hangUp();
  assert.equal(lanes.queued(), 0);
  sent[1]?.answer();
  assert.equal(await b, "B");
});

test("when all who waited hung up, nothing is sent and the lane goes on", async () => {
  const { lanes, sent, submit } = heldLanes();
  submit("a");
  const hangUps: (() => void)[] = [];
  const gone = [..."bcdefgh"].map((item) => lanes.submit(1, item, (listener) => hangUps.push(listener)));
  for (const hangUp of hangUps) hangUp();
  for (const waiting of gone) await assert.rejects(waiting, HungUp);
  sent[0]?.answer();
  await settled();
  assert.deepEqual([sent.length, lanes.queued()], [1, 0]);
  const [z] = submit("z");
  sent[1]?.answer();
  assert.equal(await z, "Z");
});

test("a batch in halves ends in time: who has waited too long is refused, not sent again", async () => {
  const { clock, lanes, sent } = heldLanes({ maxWaitMs: 40 });
  const [a, b, c] = [..."abc"].map((item) => lanes.submit(1, item));
  sent[0]?.answer();
  await a;
  await settled();
  await clock.pass(41);
  sent[1]?.fail(failure("conflict"));
  for (const late of [b, c]) await assert.rejects(late as Promise<string>, { name: "Overloaded" });
  assert.deepEqual([sent.length, lanes.queued()], [2, 0]);
});

test("one batch at a time; the next takes all that wait, in order, up to maxBatch", async () => {
  const { lanes, sent, submit } = heldLanes();
  const results = Promise.all(submit("abcdefgh"));
  await settled();
  assert.deepEqual([sent.length, lanes.queued()], [1, 7]);
  for (const [i, [items, waiting]] of [
    ["a", 7],
    ["bcde", 3],
    ["fgh", 0],
  ].entries()) {
    assert.deepEqual([sent.length, sent[i]?.items.join(""), lanes.queued()], [i + 1, items, waiting]);
    sent[i]?.answer();
    await settled();
  }
  assert.equal((await results).join(""), "ABCDEFGH");
  assert.equal(sent.length, 3);
});

test("each gets its own result", async () => {
  const { sent, submit } = heldLanes();
  const results = submit("abc");
  sent[0]?.answer(["1"]);
  await settled();
  sent[1]?.answer(["2", "3"]);
  assert.deepEqual(await Promise.all(results), ["1", "2", "3"]);
});

test("lanes don't wait for each other", async () => {
  const { sent, submit } = heldLanes();
  submit("a", 1);
  const [other] = submit("b", 2);
  assert.deepEqual(
    sent.map(({ key }) => key),
    [1, 2],
  );
  sent[1]?.answer();
  assert.equal(await other, "B");
});

test("a full queue refuses at once, and takes more when there is room", async () => {
  const { lanes, sent, submit } = heldLanes({ maxQueue: 2 });
  submit("a", 1);
  submit("b", 2);
  const waiting = [...submit("c", 1), ...submit("d", 2)];
  for (const key of [1, 2, 3])
    await assert.rejects(lanes.submit(key, "x"), new Overloaded("too many requests wait"));
  assert.equal(lanes.overloaded(), 3);
  sent[0]?.answer();
  await settled();
  const late = submit("e", 3);
  for (const i of [1, 2, 3, 4]) {
    sent[i]?.answer();
    await settled();
  }
  assert.deepEqual(await Promise.all([...waiting, ...late]), ["C", "D", "E"]);
  assert.equal(lanes.queued(), 0);
});

test("who waits too long is refused, in every lane, and who is in flight is not", async () => {
  const { clock, lanes, sent, submit } = heldLanes({ maxWaitMs: 20 });
  const flying = [...submit("a", 1), ...submit("b", 2)];
  const late = [...submit("cd", 1), ...submit("e", 2)].map((waiting) => waiting.catch((error) => error));
  await clock.pass(15);
  assert.deepEqual([lanes.queued(), lanes.overloaded()], [3, 0]);
  await clock.pass(5);
  for (const waiting of late)
    assert.deepEqual(await waiting, new Overloaded("waited too long for a place in a batch"));
  assert.deepEqual([lanes.queued(), lanes.overloaded()], [0, 3]);
  const later = submit("f", 1);
  for (const batch of sent) batch.answer();
  assert.deepEqual(await Promise.all(flying), ["A", "B"]);
  await settled();
  sent[2]?.answer();
  assert.deepEqual(await Promise.all(later), ["F"]);
  assert.deepEqual(
    sent.map(({ items }) => items.join("")),
    ["a", "b", "f"],
  );
});

for (const [kind, sqlstate] of [
  ["conflict", "40P01"],
  ["argument", "22023"],
  ["defect", "23514"],
  ["defect", "P0001"],
] as const)
  test(`${kind} ${sqlstate}: halved until the one item that can't be done fails alone`, async () => {
    const { sent, submit } = answeringLanes((items) => {
      if (items.includes("x")) throw failure(kind, sqlstate);
      return items;
    });
    assert.deepEqual(await submit("1abxc2"), ["1", "a", "b", kind, "c", "2"]);
    assert.deepEqual(sent, ["1", "abxc", "ab", "xc", "x", "c", "2"]);
  });

for (const kind of ["unknown", "unavailable", "busy", "defect"] as const)
  test(`${kind}: the whole batch fails, and is not sent again; the next goes on`, async () => {
    const { sent, submit } = answeringLanes(
      (items) => {
        if (items.includes("x")) throw failure(kind);
        return items;
      },
      { maxBatch: 3 },
    );
    assert.deepEqual(await submit("1axb2"), ["1", kind, kind, kind, "2"]);
    assert.deepEqual(sent, ["1", "axb", "2"]);
  });

test("another failure in one half leaves the other half", async () => {
  const { submit } = answeringLanes((items) => {
    if (items.length > 2) throw failure("conflict");
    if (items.includes("x")) throw failure("unknown");
    return items;
  });
  assert.deepEqual(await submit("1axbc"), ["1", "unknown", "unknown", "b", "c"]);
});

test("an error that is no DatabaseError, thrown at once", async () => {
  const lanes = createLanes<string, string>(() => {
    throw new TypeError("a mistake");
  }, LIMITS);
  for (const _ of [1, 2]) await assert.rejects(lanes.submit(1, "a"), new TypeError("a mistake"));
});

for (const results of [[], ["1", "2", "3"]])
  test(`${results.length} results for 2 items are a defect`, async () => {
    const { sent, submit } = heldLanes();
    const [first, ...rest] = submit("abc");
    sent[0]?.answer();
    await first;
    await settled();
    sent[1]?.answer(results);
    for (const waiting of rest)
      await assert.rejects(waiting, {
        kind: "defect",
        message: `${results.length} results for 2 items`,
      });
  });

test("an idle lane leaves nothing behind", async () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const lanes = createLanes<string, string>(async (_, items) => items, LIMITS);
  const visit = async (from: number, to: number) => {
    for (let key = from; key < to; key++) await lanes.submit(key, "a");
    collect();
    return process.memoryUsage().heapUsed;
  };
  // Thrice, since the process is not this test's alone: a lane that stays behind does so each time.
  const heaps = [await visit(0, 1_000)];
  for (const from of [1_000, 31_000, 61_000]) heaps.push(await visit(from, from + 30_000));
  const grown = heaps.slice(1).map((heap, i) => heap - (heaps[i] ?? 0));
  assert.ok(Math.min(...grown) < 1_000_000, `${grown.join(", ")} bytes for 30,000 lanes each`);
  assert.equal(await lanes.submit(1, "again"), "again");
});

// ---- With the database ----------------------------------------------------------------------------------------------

test("2,000 requests of 1,500 users at once for 25 coupons", async (t) => {
  // Each is answered, however busy the machine.
  const world = await openWorld({ database: { callMs: 60_000 }, lanes: { maxWaitMs: 60_000 } });
  t.after(world.close);
  await world.scratch.admin`
    select count(*) from import_users(array(select generate_series(1, 1500)), array_fill('n'::text, array[1500]))`;
  const coupon = await world.newCoupon({ count: 25 });
  const users = Array.from({ length: 2_000 }, (_, i) => ((i * 7) % 1_500) + 1);
  const answers = await Promise.all(users.map((user) => world.issue(coupon, user)));

  const issued = answers.filter(({ status }) => status === 201).map(({ body }) => body);
  assert.deepEqual(
    issued.map(({ position }) => position).sort((a, b) => a - b),
    Array.from({ length: 25 }, (_, i) => i + 1),
  );
  const rows = await world.scratch.owner`
    select user_id::integer, position from coupon.user_coupons order by position`;
  assert.deepEqual(
    rows.map((row) => ({ ...row })),
    issued.sort((a, b) => a.position - b.position).map(({ user_id, position }) => ({ user_id, position })),
  );

  const holders = new Map(issued.map(({ user_id, position }) => [user_id, position]));
  for (const { status, body } of answers.filter((answer) => answer.status !== 201))
    if (holders.has(body.user_id))
      assert.deepEqual(
        [status, body.outcome, body.position],
        [200, "already_issued", holders.get(body.user_id)],
      );
    else assert.deepEqual([status, body.outcome], [409, "sold_out"]);
  assert.deepEqual(await world.scratch.admin`select * from reconcile()`.then((found) => [...found]), []);
});

test("a grant by hand that commits while a batch waits", async (t) => {
  const world = await openWorld();
  t.after(world.close);
  const { scratch } = world;
  await bound(scratch, "lock_timeout = '30s'");
  const coupon = await world.newCoupon({ count: 3 });
  const users = [await world.newUser(), await world.newUser(), await world.newUser(), await world.newUser()];
  const [byHand = 0] = users;

  // A DBA issues to the first user without issue_coupons(), and commits when the batch waits for the coupon.
  const session = await scratch.owner.reserve();
  await session`begin`;
  await session`update coupon.coupons set issued = issued + 1 where id = ${coupon}`;
  await session`
    insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position)
    select ${byHand}, c.id, now.at, c.expiry, (now.at at time zone 'UTC')::date, 1
    from coupon.coupons c, (select clock_timestamp() as at) now
    where c.id = ${coupon}`;
  const answers = users.map((user) => world.issuing.issue(coupon, user));
  await untilWaiting(scratch);
  await session`commit`;
  session.release();

  const told = (await Promise.all(answers)).map(({ outcome, position }) => [outcome, position]);
  assert.deepEqual(told, [
    ["already_issued", 1],
    ["issued", 2],
    ["issued", 3],
    ["sold_out", null],
  ]);
  assert.deepEqual([...(await scratch.admin`select * from reconcile()`)], []);
});

test("a user whose day is spent by hand while its batch inserts fails alone", async (t) => {
  const world = await openWorld();
  t.after(world.close);
  const { scratch } = world;
  await bound(scratch, "lock_timeout = '30s'");
  const [coupon, other] = [await world.newCoupon(), await world.newCoupon()];
  const users = [await world.newUser(), await world.newUser(), await world.newUser(), await world.newUser()];
  const spent = users[2] ?? 0;

  // Without the issuing lock, so that the batch meets it only at the key of user and day.
  const release = await holdCoupon(scratch, coupon);
  const session = await scratch.owner.reserve();
  await session`begin`;
  await session`update coupon.coupons set issued = issued + 1 where id = ${other}`;
  await session`
    insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position)
    select ${spent}, c.id, now.at, c.expiry, (now.at at time zone 'UTC')::date, 1
    from coupon.coupons c, (select clock_timestamp() as at) now
    where c.id = ${other}`;
  const answers = users.map((user) => world.issuing.issue(coupon, user));
  await untilWaiting(scratch);
  await release();
  await untilBlockedBy(scratch, session);
  await session`commit`;
  session.release();

  const told = (await Promise.all(answers)).map(({ outcome, position }) => [outcome, position]);
  assert.deepEqual(told, [
    ["issued", 1],
    ["issued", 2],
    ["daily_limit_reached", null],
    ["issued", 3],
  ]);
  assert.deepEqual([...(await scratch.admin`select * from reconcile()`)], []);
});

test("a client that hangs up while it waits is not granted", async (t) => {
  const world = await openWorld();
  t.after(world.close);
  await bound(world.scratch, "lock_timeout = '30s'");
  const server = createAdaptorServer({ fetch: world.app.fetch });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const coupon = await world.newCoupon();
  const [first, gone, last] = [await world.newUser(), await world.newUser(), await world.newUser()];
  const ask = (user: number, signal?: AbortSignal) =>
    fetch(`http://127.0.0.1:${port}/coupons/${coupon}/issue`, {
      method: "POST",
      headers: { authorization: `Bearer ${userToken(user)}` },
      ...(signal ? { signal } : {}),
    });

  const release = await holdCoupon(world.scratch, coupon);
  const { queued } = world.issuing.lanes;
  const until = async (waiting: number) => {
    while (queued() !== waiting) await settled();
  };
  const one = ask(first);
  await untilWaiting(world.scratch);
  const hangUp = new AbortController();
  const two = ask(gone, hangUp.signal);
  await until(1);
  hangUp.abort();
  await assert.rejects(two, { name: "AbortError" });
  await until(0);
  const three = ask(last);
  await until(1);
  await release();
  assert.deepEqual([(await one).status, (await three).status], [201, 201]);
  const holders = await world.scratch
    .owner`select user_id::integer from coupon.user_coupons order by position`;
  assert.deepEqual(
    holders.map(({ user_id }) => user_id),
    [first, last],
  );
});

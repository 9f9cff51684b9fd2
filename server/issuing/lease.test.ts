import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openApp, openWorld } from "../../bench/harness/app.ts";
import { createClock, settled } from "../../bench/harness/clock.ts";
import { COMMON_REFUSALS } from "../api/outcomes.ts";
import type { Lease } from "../database/functions.ts";
import { createLeases } from "./lease.ts";

// ---- By hand --------------------------------------------------------------------------------------------------------

/** Leases on a clock that the test moves, with the answers it gives. */
function byHand() {
  const clock = createClock();
  const asked: { couponId: number; knownPosition: number; answer: (lease: Lease) => Promise<void> }[] = [];
  const leases = createLeases(
    (couponId, knownPosition) =>
      new Promise((resolve) => {
        const answer = async (lease: Lease) => {
          resolve(lease);
          await settled();
        };
        asked.push({ couponId, knownPosition, answer });
      }),
    clock,
  );
  return { clock, asked, leases };
}

const soldOut = { outcome: "leased", refusal: "sold_out", valid_for: 1, starts_in: null } as const;
const refused = { position: null, issued_on: null, issued_at: null, starts_in: null };

test("repeats the refusal until the lease runs out, counted from before the question", async () => {
  const { clock, asked, leases } = byHand();
  assert.equal(leases.refusal(7, 1), undefined);
  leases.renew(7);
  await clock.pass(400); // on its way
  await asked[0]?.answer({ ...soldOut, issued: 0, holders: [] });
  assert.deepEqual(leases.refusal(7, 1), { outcome: "sold_out", user_id: 1, ...refused });
  assert.equal(leases.refusal(8, 1), undefined);
  await clock.pass(599.999);
  assert.notEqual(leases.refusal(7, 1), undefined);
  await clock.pass(0.001);
  assert.equal(leases.refusal(7, 1), undefined);
  assert.equal(leases.hits(), 2);
});

test("the next lease is asked for when half of this one is over, by the first who is refused then", async () => {
  const { clock, asked, leases } = byHand();
  leases.renew(7);
  await asked[0]?.answer({ ...soldOut, issued: 0, holders: [] });
  await clock.pass(499);
  leases.refusal(7, 1);
  assert.equal(asked.length, 1);
  await clock.pass(1);
  for (let i = 0; i < 3; i++) assert.equal(leases.refusal(7, 1)?.outcome, "sold_out");
  assert.equal(asked.length, 2);
  await asked[1]?.answer({ ...soldOut, issued: 0, holders: [] });
  await clock.pass(999);
  assert.notEqual(leases.refusal(7, 1), undefined);
});

test("holders are never refused; of the next lease only the newer ones are asked for", async () => {
  const { clock, asked, leases } = byHand();
  leases.renew(7);
  await asked[0]?.answer({ ...soldOut, issued: 2, holders: [11, 12] });
  await clock.pass(1_000);
  leases.renew(7);
  assert.deepEqual([asked[1]?.couponId, asked[1]?.knownPosition], [7, 2]);
  await asked[1]?.answer({ ...soldOut, issued: 3, holders: [13] });
  assert.deepEqual(
    [11, 12, 13, 14].map((userId) => leases.refusal(7, userId)?.outcome),
    [undefined, undefined, undefined, "sold_out"],
  );
});

test("after a lost connection nothing of before is repeated: no refusal, no holder, no answer on its way", async () => {
  const { clock, asked, leases } = byHand();
  leases.renew(7);
  await asked[0]?.answer({ ...soldOut, issued: 3, holders: [11, 12, 13] });
  await clock.pass(500);
  assert.equal(leases.refusal(7, 14)?.outcome, "sold_out");
  leases.drop();
  assert.equal(leases.refusal(7, 14), undefined);
  // The answer of the database that is no more.
  await asked[1]?.answer({ ...soldOut, issued: 3, holders: [] });
  assert.equal(leases.refusal(7, 14), undefined);
  leases.renew(7);
  // The new primary lost position 3, and gave it to 14.
  assert.equal(asked[2]?.knownPosition, 0);
  await asked[2]?.answer({ ...soldOut, issued: 3, holders: [11, 12, 14] });
  assert.deepEqual(
    [13, 14].map((userId) => leases.refusal(7, userId)?.outcome),
    ["sold_out", undefined],
  );
});

test("not_started counts down to the microsecond and ends at start_time", async () => {
  const { clock, asked, leases } = byHand();
  leases.renew(7);
  await asked[0]?.answer({
    outcome: "leased",
    refusal: "not_started",
    valid_for: 0.25,
    starts_in: 0.25,
    issued: 0,
    holders: [],
  });
  await clock.pass(100.0004);
  assert.deepEqual(leases.refusal(7, 1), {
    ...refused,
    outcome: "not_started",
    user_id: 1,
    starts_in: 0.15,
  });
  await clock.pass(149.9996);
  assert.equal(leases.refusal(7, 1), undefined);
});

test("asks once at a time, and after a no not at once again", async () => {
  const { clock, asked, leases } = byHand();
  for (let i = 0; i < 5; i++) leases.renew(7);
  assert.equal(asked.length, 1);
  await asked[0]?.answer({ outcome: "not_leased" });
  leases.renew(7);
  assert.equal(asked.length, 1);
  await clock.pass(99);
  leases.renew(7);
  assert.equal(asked.length, 1);
  await clock.pass(1);
  leases.renew(7);
  assert.equal(asked.length, 2);
});

test("a no ends what was leased", async () => {
  const { asked, leases } = byHand();
  leases.renew(7);
  await asked[0]?.answer({ ...soldOut, issued: 0, holders: [] });
  leases.renew(7);
  await asked[1]?.answer({ outcome: "not_leased" });
  assert.equal(leases.refusal(7, 1), undefined);
});

test("a question that fails leaves everybody to the database, and is asked again", async () => {
  let asked = 0;
  const leases = createLeases(async () => {
    asked += 1;
    throw new Error("no database");
  });
  leases.renew(7);
  await settled();
  assert.equal(leases.refusal(7, 1), undefined);
  leases.renew(7);
  assert.equal(asked, 2);
});

test("at most 16 coupons: a valid lease keeps its place, one that ran out gives it up", async () => {
  const { clock, asked, leases } = byHand();
  for (let coupon = 1; coupon <= 17; coupon++) {
    leases.renew(coupon);
    await asked.at(-1)?.answer({ ...soldOut, issued: 0, holders: [] });
  }
  assert.notEqual(leases.refusal(1, 1), undefined);
  assert.equal(leases.refusal(17, 1), undefined);
  await clock.pass(1_001);
  leases.renew(17);
  await asked.at(-1)?.answer({ ...soldOut, issued: 0, holders: [] });
  assert.notEqual(leases.refusal(17, 1), undefined);
});

// ---- On a database --------------------------------------------------------------------------------------------------

/** A world whose leases can be watched. */
async function leasedWorld(t: { after(fn: () => unknown): void }) {
  const world = await openWorld();
  t.after(world.close);
  const outcome = async (coupon: number, user: number) => (await world.issue(coupon, user)).body.outcome;
  return { ...world, outcome, hits: world.issuing.leases.hits };
}

/** Until a lease answers this user. */
async function untilLeased(
  { outcome, hits }: Awaited<ReturnType<typeof leasedWorld>>,
  coupon: number,
  user: number,
) {
  for (const before = hits(); hits() === before; ) {
    const told = await outcome(coupon, user);
    await sleep(5);
    if (hits() > before) return told;
  }
}

test("the refusals that may be repeated are those of coupon.common_refusal", async (t) => {
  const { scratch } = await leasedWorld(t);
  const [row] = await scratch.owner`
    select pg_get_functiondef('coupon.common_refusal'::regproc) as body,
      array_to_json(enum_range(null::issue_coupon_outcome)) as outcomes`;
  assert.ok(row);
  const named = (row["outcomes"] as string[]).filter((outcome) => row["body"].includes(`'${outcome}'`));
  assert.deepEqual(named, [...COMMON_REFUSALS]);
});

test("a winner's retry reaches its grant while others are told sold_out from the lease", async (t) => {
  const world = await leasedWorld(t);
  const coupon = await world.newCoupon({ count: 2 });
  const [ann, ben, eve] = [await world.newUser(), await world.newUser(), await world.newUser()];
  assert.deepEqual(
    [await world.outcome(coupon, ann), await world.outcome(coupon, ben)],
    ["issued", "issued"],
  );
  assert.equal(await untilLeased(world, coupon, eve), "sold_out");
  const before = world.hits();
  for (const [user, position] of [
    [ann, 1],
    [ben, 2],
  ] as const) {
    const { status, body } = await world.issue(coupon, user);
    assert.deepEqual([status, body.outcome, body.position], [200, "already_issued", position]);
  }
  assert.equal(world.hits(), before);
  assert.deepEqual([await world.outcome(coupon, eve), world.hits()], ["sold_out", before + 1]);
});

test("a refusal from a lease reads like any other", async (t) => {
  const world = await leasedWorld(t);
  const coupon = await world.newCoupon({ count: 1 });
  const [ann, eve] = [await world.newUser(), await world.newUser()];
  await world.issue(coupon, ann);
  const asked = await world.issue(coupon, eve);
  await untilLeased(world, coupon, eve);
  const repeated = await world.issue(coupon, eve);
  for (const answer of [asked, repeated]) delete answer.body.request_id;
  assert.deepEqual([repeated.status, repeated.body], [asked.status, asked.body]);
});

test("the very start: nobody is refused after start_time, nobody granted before", async (t) => {
  const world = await leasedWorld(t);
  // On a slow machine the first lease takes a while: the next coupon starts later, until one was refused from its lease.
  for (const seconds of [1, 5, 20]) {
    const coupon = await world.newCoupon({ count: 1_000 + seconds, from: `${seconds} s` });
    await askUntilIssued(world, coupon, await world.newUser());
    const [grant] = await world.scratch.owner`
      select issued_at >= start_time as after
      from coupon.user_coupons g join coupon.coupons c on c.id = g.coupon_id where c.id = ${coupon}`;
    assert.equal(grant?.["after"], true);
    if (world.hits() > 0) return;
  }
  assert.fail("no refusal came from a lease");
});

async function askUntilIssued(
  { scratch, issue }: Awaited<ReturnType<typeof leasedWorld>>,
  coupon: number,
  user: number,
) {
  const [row] = await scratch.owner`
    select extract(epoch from start_time - clock_timestamp())::float8 * 1000 as ms from coupon.coupons where id = ${coupon}`;
  // start_time was read a moment before the clock here is: a request that is sent after it must not be refused.
  const starts = performance.now() + row?.["ms"];
  for (;;) {
    const sentAt = performance.now();
    const { body } = await issue(coupon, user);
    if (body.outcome === "issued") return;
    assert.equal(body.outcome, "not_started");
    assert.ok(sentAt <= starts, `refused ${sentAt - starts} ms after the start`);
  }
}

test("after a restock nobody is told sold_out, by any server", async (t) => {
  const world = await leasedWorld(t);
  const other = await openApp(world.scratch.apiUrl);
  t.after(other.close);
  const coupon = await world.newCoupon({ count: 1 });
  const [ann, ben, eve] = [await world.newUser(), await world.newUser(), await world.newUser()];
  await world.issue(coupon, ann);
  await untilLeased(world, coupon, eve);
  for (const before = other.issuing.leases.hits(); other.issuing.leases.hits() === before; await sleep(5))
    assert.equal((await other.issue(coupon, eve)).body.outcome, "sold_out");

  await world.scratch.admin`select from set_coupon_count(${coupon}, 3)`;
  const told = await Promise.all([world.issue(coupon, ben), other.issue(coupon, eve)]);
  assert.deepEqual(
    told.map(({ body }) => body.outcome),
    ["issued", "issued"],
  );
});

test("a winner of one server is never refused by another's lease", async (t) => {
  const world = await leasedWorld(t);
  const other = await openApp(world.scratch.apiUrl);
  t.after(other.close);
  const coupon = await world.newCoupon({ count: 5 });
  const users: number[] = [];
  for (let i = 0; i < 12; i++) users.push(await world.newUser());
  // Pauses, resumptions and claims at both servers, retried at the other: who was granted once is never refused again.
  const granted = new Set<number>();
  let stop = false;
  const until = async (isSo: () => boolean) => {
    while (!isSo()) await Promise.race([sleep(1), ...claims]); // a claim that is wrong ends the test
  };
  const claims = users.map(async (user, i) => {
    for (let n = 0; !stop; n++) {
      const { body } = await ((i + n) % 2 ? world : other).issue(coupon, user);
      const is = ["issued", "already_issued"].includes(body.outcome);
      assert.ok(is || !granted.has(user), `user ${user} holds it and is told ${body.outcome}`);
      if (is) granted.add(user);
      await sleep(1);
    }
  });
  for (const count of [5, 6, 7, 8]) {
    await world.scratch.admin`select from set_coupon_count(${coupon}, ${count})`;
    await until(() => granted.size === count);
    await world.scratch.admin`select from pause_coupon(${coupon})`;
    const before = [world.hits(), other.issuing.leases.hits()] as const;
    await until(() => world.hits() > before[0] && other.issuing.leases.hits() > before[1]);
    await world.scratch.admin`select from resume_coupon(${coupon})`;
  }
  stop = true;
  await Promise.all(claims);
  assert.equal(granted.size, 8);
});

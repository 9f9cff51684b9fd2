import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openApp, openWorld, userToken } from "../../bench/harness/app.ts";
import { createClock, settled } from "../../bench/harness/clock.ts";
import { COMMON_REFUSALS } from "../api/outcomes.ts";
import type { Lease, LeaseQuestion } from "../database/commands.ts";
import { createIssuing } from "./issuing.ts";
import { createLeases, type LeaseLimits } from "./lease.ts";

// ---- By hand --------------------------------------------------------------------------------------------------------

/** Leases on a clock that the test moves, with the answers it gives. */
function byHand(limits: Partial<LeaseLimits> = {}) {
  const clock = createClock();
  interface Asked extends LeaseQuestion {
    answer(lease: Lease): Promise<void>;
    fail(error: Error): Promise<void>;
  }
  const asked: Asked[] = [];
  /** How many coupons each question was for. */
  const sizes: number[] = [];
  const leases = createLeases(
    (questions) => {
      sizes.push(questions.length);
      const answers = questions.map(
        (question) =>
          new Promise<Lease>((resolve, reject) => {
            asked.push({
              ...question,
              async answer(lease) {
                resolve(lease);
                await settled();
              },
              async fail(error) {
                reject(error);
                await settled();
              },
            });
          }),
      );
      return Promise.all(answers);
    },
    clock,
    limits,
  );
  return { clock, asked, sizes, leases };
}

/** Sold out, by those who hold the positions after `holders_after`. */
const soldOut = (holders: number[], holders_after = 0): Extract<Lease, { outcome: "leased" }> => ({
  outcome: "leased",
  refusal: "sold_out",
  valid_for: 1,
  starts_in: null,
  sold_out_at: "2026-11-28T12:00:01.843000Z",
  time_to_sell_out: 1.843,
  issued: holders_after + holders.length,
  last_issued_at: holders_after + holders.length === 0 ? null : `after ${holders_after + holders.length}`,
  holders_after,
  holders,
});
const refused = {
  ...{ position: null, issued_on: null, issued_at: null, starts_in: null },
  ...{ sold_out_at: "2026-11-28T12:00:01.843000Z", time_to_sell_out: 1.843 },
};

test("repeats the refusal until the lease runs out, counted from before the question", async () => {
  const { clock, asked, leases } = byHand();
  assert.equal(leases.refusal(7, 1), undefined);
  leases.refused(7, 1);
  await clock.pass(400); // on its way
  await asked[0]?.answer(soldOut([]));
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
  leases.refused(7, 1);
  await asked[0]?.answer(soldOut([]));
  await clock.pass(499);
  leases.refusal(7, 1);
  assert.equal(asked.length, 1);
  await clock.pass(1);
  for (let i = 0; i < 3; i++) assert.equal(leases.refusal(7, 1)?.outcome, "sold_out");
  assert.equal(asked.length, 2);
  await asked[1]?.answer(soldOut([]));
  await clock.pass(999);
  assert.notEqual(leases.refusal(7, 1), undefined);
});

test("holders are never refused; of the next lease only the newer ones are asked for", async () => {
  const { clock, asked, leases } = byHand();
  leases.refused(7, 1);
  await asked[0]?.answer(soldOut([11, 12]));
  await clock.pass(1_000);
  leases.refused(7, 1);
  assert.deepEqual([asked[1]?.couponId, asked[1]?.known], [7, { position: 2, issuedAt: "after 2" }]);
  await asked[1]?.answer(soldOut([13], 2));
  assert.deepEqual(
    [11, 12, 13, 14].map((userId) => leases.refusal(7, userId)?.outcome),
    [undefined, undefined, undefined, "sold_out"],
  );
});

test("after a lost connection nothing of before is repeated: no refusal, no holder, no answer on its way", async () => {
  const { clock, asked, leases } = byHand();
  leases.refused(7, 1);
  await asked[0]?.answer(soldOut([11, 12, 13]));
  await clock.pass(500);
  assert.equal(leases.refusal(7, 14)?.outcome, "sold_out");
  leases.drop();
  assert.equal(leases.refusal(7, 14), undefined);
  // The answer of the database that is no more.
  await asked[1]?.answer(soldOut([], 3));
  assert.equal(leases.refusal(7, 14), undefined);
  leases.refused(7, 1);
  await clock.pass(20);
  // The new primary lost position 3, and gave it to 14.
  assert.deepEqual(asked[2]?.known, { position: 0, issuedAt: null });
  await asked[2]?.answer(soldOut([11, 12, 14]));
  assert.deepEqual(
    [13, 14].map((userId) => leases.refusal(7, userId)?.outcome),
    ["sold_out", undefined],
  );
});

test("holders of another database, which behind a pooler answers without a lost connection, replace those known", async () => {
  const { clock, asked, leases } = byHand();
  leases.refused(7, 1);
  await asked[0]?.answer(soldOut([11, 12, 13]));
  await clock.pass(500);
  leases.refusal(7, 14);
  await asked[1]?.answer(soldOut([11, 12, 14]));
  assert.deepEqual(
    [11, 12, 13, 14].map((userId) => leases.refusal(7, userId)?.outcome),
    [undefined, undefined, "sold_out", undefined],
  );
});

test("not_started counts down to the microsecond and ends at start_time", async () => {
  const { clock, asked, leases } = byHand();
  leases.refused(7, 1);
  await asked[0]?.answer({
    ...soldOut([]),
    outcome: "leased",
    refusal: "not_started",
    valid_for: 0.25,
    starts_in: 0.25,
    sold_out_at: null,
    time_to_sell_out: null,
  });
  await clock.pass(100.0004);
  assert.deepEqual(leases.refusal(7, 1), {
    ...refused,
    outcome: "not_started",
    user_id: 1,
    starts_in: 0.15,
    sold_out_at: null,
    time_to_sell_out: null,
  });
  await clock.pass(149.9996);
  assert.equal(leases.refusal(7, 1), undefined);
});

test("asks once at a time, and twice a second at most, whatever the answer is", async () => {
  const { clock, asked, leases } = byHand();
  for (const answer of [{ outcome: "not_leased" }, soldOut([]), new Error("no database")] as const) {
    for (let i = 0; i < 5; i++) leases.refused(7, 1);
    const { length } = asked;
    await clock.pass(600);
    leases.refused(7, 1);
    assert.equal(asked.length, length, "one is under way");
    if (answer instanceof Error) await asked.at(-1)?.fail(answer);
    else await asked.at(-1)?.answer(answer);
    leases.refused(7, 1);
    assert.equal(asked.length, length + 1);
    await clock.pass(499.999);
    leases.refused(7, 1);
    assert.equal(asked.length, length + 1);
    await asked.at(-1)?.answer({ outcome: "not_leased" });
    await clock.pass(0.001);
  }
});

test("a no leaves what was leased before, which stays true until it runs out", async () => {
  const { clock, asked, leases } = byHand();
  leases.refused(7, 1);
  await asked[0]?.answer(soldOut([]));
  await clock.pass(500);
  leases.refusal(7, 1);
  await asked[1]?.answer({ outcome: "not_leased" });
  assert.equal(leases.refusal(7, 1)?.outcome, "sold_out");
  await clock.pass(500);
  assert.equal(leases.refusal(7, 1), undefined);
});

test("one question at a time, 20 ms apart, for all coupons that are due", async () => {
  const { clock, asked, sizes, leases } = byHand();
  for (const coupon of [1, 2, 3]) leases.refused(coupon, 1);
  assert.deepEqual(sizes, [1]);
  await clock.pass(30);
  assert.deepEqual(sizes, [1], "the first one is not answered");
  await asked[0]?.answer(soldOut([]));
  assert.deepEqual(sizes, [1, 2]);
  await asked[1]?.answer(soldOut([7]));
  await asked[2]?.answer({ outcome: "not_leased" });
  await clock.pass(1);
  leases.refused(4, 1);
  await clock.pass(18);
  assert.deepEqual(sizes, [1, 2]);
  await clock.pass(1);
  assert.deepEqual(sizes, [1, 2, 1]);
  assert.deepEqual(
    asked.map(({ couponId }) => couponId),
    [1, 2, 3, 4],
  );
  assert.deepEqual(
    [1, 2, 3].map((coupon) => leases.refusal(coupon, 7)?.outcome),
    ["sold_out", undefined, undefined],
  );
  assert.equal(leases.refusal(2, 8)?.outcome, "sold_out");
});

test("a first lease that cannot be written keeps no lease from going on", async () => {
  const { clock, asked, leases } = byHand();
  leases.refused(1, 1);
  await asked[0]?.answer(soldOut([]));
  leases.refused(2, 1); // no standby confirms it
  await clock.pass(20);
  assert.equal(asked[1]?.couponId, 2);
  for (let half = 1; half <= 4; half++) {
    await clock.pass(500);
    assert.equal(leases.refusal(1, 1)?.outcome, "sold_out");
    await clock.pass(20);
    assert.equal(asked.at(-1)?.couponId, 1);
    await asked.at(-1)?.answer(soldOut([]));
  }
  assert.equal(leases.refusal(2, 1), undefined);
});

test("hundreds of coupons that few people ask for are nearly all answered from leases, by 50 questions a second", async () => {
  const { clock, asked, sizes, leases } = byHand();
  let hits = 0;
  // 284 coupons at 500 requests a second, for four seconds.
  for (let n = 0; n < 2_000; n++) {
    await clock.pass(2);
    const coupon = 100 + (n % 284);
    if (leases.refusal(coupon, 1)) hits += 1;
    else leases.refused(coupon, 1);
    for (const { answer } of asked.splice(0)) await answer(soldOut([]));
  }
  assert.equal(hits, 2_000 - 284);
  assert.ok(sizes.length <= 50 * 4 + 2, `${sizes.length}`);
});

// ---- Sixteen places -------------------------------------------------------------------------------------------------

/** Coupons 1 to 16, each refused so many times, have the places. */
async function full(refusals: number) {
  const world = byHand({ places: 16 });
  for (let coupon = 1; coupon <= 16; coupon++) world.leases.refused(coupon, refusals);
  await world.asked[0]?.answer(soldOut([]));
  await world.clock.pass(20);
  for (const { answer } of world.asked.slice(1)) await answer(soldOut([]));
  await world.clock.pass(20);
  return world;
}

test("while all places are taken, a coupon that is refused no more often than those is not asked for", async () => {
  const { clock, asked, leases } = await full(3);
  await clock.pass(500);
  leases.refused(17, 3);
  assert.equal(asked.length, 16);
  assert.equal(leases.refusal(17, 1), undefined);
  for (let coupon = 1; coupon <= 16; coupon++) assert.notEqual(leases.refusal(coupon, 1), undefined);
});

test("the coupon that is refused more often takes the place of the one that is refused the least", async () => {
  const { clock, asked, leases } = await full(3);
  for (let coupon = 1; coupon <= 16; coupon++) if (coupon !== 5) leases.refusal(coupon, 1);
  await clock.pass(500);
  leases.refused(17, 4);
  assert.equal(asked.at(-1)?.couponId, 17);
  await asked.at(-1)?.answer(soldOut([]));
  assert.equal(leases.refusal(5, 1), undefined);
  for (const coupon of [1, 4, 6, 16, 17]) assert.equal(leases.refusal(coupon, 1)?.outcome, "sold_out");
});

test("a lease that ran out gives its place up to whoever is refused", async () => {
  const { clock, asked, leases } = await full(1_000);
  await clock.pass(1_000);
  leases.refused(17, 1);
  await asked.at(-1)?.answer(soldOut([]));
  assert.equal(leases.refusal(17, 1)?.outcome, "sold_out");
});

test("a place asks twice a second at most, whichever coupons have it", async () => {
  const { clock, asked, leases } = await full(1);
  // 284 coupons at 500 requests a second, for two seconds.
  for (let n = 0; n < 1_000; n++) {
    await clock.pass(2);
    leases.refused(100 + (n % 284), 1);
    if (asked.length > 16) await asked.at(-1)?.answer(soldOut([]));
  }
  assert.ok(asked.length - 16 <= 16 * 2 * 2, `${asked.length}`);
});

test("16 coupons that few people ask for do not take the lease of a drop away", async () => {
  const { clock, asked, leases } = byHand();
  const answerAll = async () => {
    for (const { answer } of asked.splice(0)) await answer(soldOut([]));
  };
  const ask = (coupon: number) => {
    if (leases.refusal(coupon, 1)) return true;
    leases.refused(coupon, 1);
    return false;
  };
  let [hits, requests] = [0, 0];
  // 38 requests a second together, from a second before the drop.
  for (let ms = 0; ms < 3_000; ms++) {
    if (ms % 26 === 0) ask(1 + ((ms / 26) % 16));
    if (ms >= 1_000 && ms % 2 === 0) {
      requests += 1;
      if (ask(100)) hits += 1;
    }
    await answerAll();
    await clock.pass(1);
  }
  assert.deepEqual([requests, hits], [1_000, 999]);
});

test("coupons with many holders get a place one after another", async () => {
  const { clock, asked, leases } = byHand();
  const holders = Array.from({ length: 100_000 }, (_, i) => i);
  leases.refused(1, 1);
  await asked[0]?.answer(soldOut(holders));
  leases.refused(2, 9);
  await clock.pass(999);
  leases.refused(2, 9);
  assert.equal(asked.length, 1);
  await clock.pass(1);
  leases.refused(2, 9);
  assert.equal(asked[1]?.couponId, 2);
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
  t.after(() => {
    stop = true;
  });
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

test("ended coupons that are asked for while somebody holds issuing in psql keep nobody waiting", async (t) => {
  const world = await leasedWorld(t);
  const { scratch, outcome } = world;
  const [live, winner, asker] = [await world.newCoupon(), await world.newUser(), await world.newUser()];
  assert.equal(await outcome(live, winner), "issued");
  const ended: number[] = [];
  for (let i = 0; i < 10; i++) ended.push(await world.newCoupon());
  await scratch.owner`update coupon.coupons set expiry = clock_timestamp() where id = any (${ended}::bigint[])`;

  const psql = await scratch.admin.reserve();
  await psql`begin`;
  await psql`select from issue_coupon(${asker}, ${live})`;
  const asked = await Promise.all(ended.map((coupon) => outcome(coupon, winner)));
  assert.deepEqual(asked, Array(10).fill("ended"));
  const used = await world.call(`POST /coupons/${live}/use`, {
    token: await userToken(winner),
    body: { reference: "r" },
  });
  assert.equal(used.body.outcome, "used");
  const [waiting] = await scratch.owner`
    select count(*)::integer as sessions
    from pg_locks l where not l.granted and l.pid in (select a.pid from pg_stat_activity a where a.datname = current_database())`;
  assert.equal(waiting?.["sessions"], 0);
  await psql`rollback`;
  psql.release();
  const [first = 0] = ended;
  assert.equal(await untilLeased(world, first, winner), "ended");
});

test("behind a pooler another database answers: its holders are not refused by what the first one said", async (t) => {
  const worlds = [await leasedWorld(t), await leasedWorld(t)] as const;
  const holders = [
    [1, 2, 3],
    [1, 2, 4],
  ] as const;
  for (const [i, { scratch, newCoupon, newUser }] of worlds.entries()) {
    for (let user = 0; user < 4; user++) await newUser();
    assert.equal(await newCoupon({ count: 3 }), 1);
    for (const user of holders[i] ?? []) await scratch.admin`select from issue_coupon(${user}, 1)`;
  }
  let { db } = worlds[0];
  const leasedBy = new Set<unknown>();
  const issuing = createIssuing({
    issueCoupons: (...batch) => db.issueCoupons(...batch),
    couponLeases: async (questions, onlyLeased) => {
      const asked = db;
      const leases = await asked.couponLeases(questions, onlyLeased);
      if (leases.some(({ outcome }) => outcome === "leased")) leasedBy.add(asked);
      return leases;
    },
  });
  const told = async (user: number) => (await issuing.issue(1, user)).outcome;
  const untilLeased = async () => {
    while (!leasedBy.has(db)) {
      await told(5);
      await sleep(5);
    }
  };
  await untilLeased();
  assert.deepEqual([await told(3), await told(4)], ["already_issued", "sold_out"]);
  ({ db } = worlds[1]);
  await untilLeased();
  assert.deepEqual([await told(3), await told(4)], ["sold_out", "already_issued"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { inTime, until, waiting, waitsFirst } from "../bench/harness/waiting.ts";
import { connect } from "../db/connect.ts";

const { owner, admin, watch, apiUrl, user, crowd, coupon, upcoming, issue, expire } = await testDatabase();
const api = connect(apiUrl, { max: 4 });
test.after(() => api.end({ timeout: 1 }));

type Lease = [string, string | null, number, number | null, number | null, number[] | null];

/** In seconds; holders as numbers. */
const lease = async (coupon_id: number, known_position = 0): Promise<Lease> =>
  (
    await rows(api`
      select outcome, refusal, extract(epoch from valid_for)::float8, extract(epoch from starts_in)::float8, issued,
        holders::integer[]
      from coupon_lease(${coupon_id}, ${known_position})`)
  )[0] as Lease;

/** Sold out, by so many users, in order of position. */
async function soldOut(count: number): Promise<{ id: number; holders: number[] }> {
  const holders = await crowd(count);
  const id = await coupon({ count });
  await admin`select from issue_coupons(${id}, ${holders}::bigint[])`;
  return { id, holders };
}

/** Leases of the coupon until its start_time or expiry ends this refusal; none may reach beyond that. */
function leasesUntilItEnds(id: number, instant: "start_time" | "expiry", refusal: string): Promise<Lease[]> {
  return inTime(async (ms) => {
    await owner`
      update coupon.coupons set ${owner(instant)} = clock_timestamp() + ${ms} * interval '1 ms' where id = ${id}`;
    const leases: Lease[] = [];
    for (let now = await lease(id); now[1] === refusal; now = await lease(id)) {
      leases.push(now);
      const isWithin = owner`
        select l.valid_until <= c.${owner(instant)} from coupon.coupons c join coupon.leases l on l.coupon_id = c.id
        where c.id = ${id}`;
      assert.equal(await value(isWithin), true);
    }
    return leases.some(([, , valid_for]) => valid_for < 1) ? leases : undefined;
  });
}

/** Leases the coupon until so long from now. */
const leasedFor = (id: number, how: string) => owner`
  insert into coupon.leases (coupon_id, valid_until) values (${id}, clock_timestamp() + ${how}::text::interval)
  on conflict (coupon_id) do update set valid_until = excluded.valid_until`;

test("coupon_not_found", async () => {
  assert.deepEqual(await lease(999_999), ["coupon_not_found", null, null, null, null, null]);
});

test("not_leased while somebody can be granted, and nothing is written", async () => {
  const lunch = await coupon();
  assert.deepEqual(await lease(lunch), ["not_leased", null, null, null, null, null]);
  assert.deepEqual(await rows(owner`select * from coupon.leases where coupon_id = ${lunch}`), []);
});

test("sold_out: a second, for all but the holders", async () => {
  const { id, holders } = await soldOut(3);
  assert.deepEqual(await lease(id), ["leased", "sold_out", 1, null, 3, holders]);
});

test("known holders are not told again", async () => {
  const { id, holders } = await soldOut(3);
  assert.deepEqual((await lease(id, 2))[5], [holders[2]]);
  assert.deepEqual((await lease(id, 3))[5], []);
});

test("holders are this coupon's only", async () => {
  const [first, second] = [await soldOut(2), await soldOut(4)];
  assert.deepEqual((await lease(first.id))[5], first.holders);
  assert.deepEqual((await lease(second.id))[5], second.holders);
});

test("not_started: starts_in, and never beyond start_time", async () => {
  const far = await lease(await upcoming(1));
  assert.deepEqual([far[0], far[1], far[2], far[4], far[5]], ["leased", "not_started", 1, 0, []]);
  assert.ok((far[3] ?? 0) > 3_000, `${far[3]}`);

  for (const [outcome, , valid_for, starts_in] of await leasesUntilItEnds(
    await upcoming(2),
    "start_time",
    "not_started",
  )) {
    assert.equal(outcome, "leased");
    assert.equal(valid_for, Math.min(1, starts_in ?? 0), "valid until the microsecond of start_time");
  }
});

test("paused, with those who were granted before", async () => {
  const lunch = await coupon();
  const early = await user();
  await issue(early, lunch);
  await admin`select from pause_coupon(${lunch})`;
  assert.deepEqual(await lease(lunch), ["leased", "paused", 1, null, 1, [early]]);
});

test("ended", async () => {
  const lunch = await coupon();
  await expire(lunch);
  assert.deepEqual(await lease(lunch), ["leased", "ended", 1, null, 0, []]);
});

test("never beyond expiry: ended comes before sold_out", async () => {
  const { id } = await soldOut(1);
  for (const [outcome] of await leasesUntilItEnds(id, "expiry", "sold_out")) assert.equal(outcome, "leased");
});

test("ended: waits for a grant that was made before expiry and commits after it", async () => {
  await inTime(async (ms) => {
    const [lunch, winner] = [await coupon(), await user()];
    await owner`update coupon.coupons set expiry = clock_timestamp() + ${ms} * interval '1 ms' where id = ${lunch}`;
    const session = await admin.reserve();
    try {
      await session`begin`;
      const outcome = await value(session`select outcome from issue_coupon(${winner}, ${lunch})`);
      if (outcome === "ended") return undefined;
      assert.equal(outcome, "issued");
      const isPast = () =>
        value(watch`select clock_timestamp() >= expiry from coupon.coupons where id = ${lunch}`);
      await until(async () => (await isPast()) === true, "its expiry is past");
      const asked = lease(lunch);
      await waiting(watch);
      await session`commit`;
      assert.deepEqual(await asked, ["leased", "ended", 1, null, 1, [winner]]);
      return true;
    } finally {
      await session`rollback`;
      session.release();
    }
  });
});

/** Asserts that a change waits for the leases that are out, and comes after them. */
function waitsForLeases(id: number, change: (id: number) => PromiseLike<unknown>) {
  return inTime(async (ms) => {
    await leasedFor(id, `${ms} ms`);
    const changed = (async () => {
      await change(id);
      return value(owner`select clock_timestamp() >= valid_until from coupon.leases where coupon_id = ${id}`);
    })();
    const waited = await waitsFirst(watch, changed, "PgSleep");
    assert.equal(await changed, true);
    return waited || undefined;
  });
}

for (const [name, change] of [
  ["set_coupon_count", (id: number) => admin`select outcome from set_coupon_count(${id}, 50)`],
  ["pause_coupon", (id: number) => admin`select outcome from pause_coupon(${id})`],
  [
    "set_coupon_expiry",
    (id: number) =>
      admin`select outcome from set_coupon_expiry(${id}, clock_timestamp() + interval '3 days')`,
  ],
  ["an update by hand", (id: number) => owner`update coupon.coupons set count = count + 1 where id = ${id}`],
] as const)
  test(`${name} waits until the leases have run out`, async () => {
    const { id } = await soldOut(2);
    await waitsForLeases(id, change);
  });

test("resume_coupon waits until nobody says paused any more", async () => {
  const lunch = await coupon();
  await admin`select from pause_coupon(${lunch})`;
  await waitsForLeases(lunch, (id) => admin`select from resume_coupon(${id})`);
  assert.equal(await issue(await user(), lunch), "issued");
});

test("not_leased while a change of the coupon is not committed", async () => {
  const { id } = await soldOut(2);
  await owner.begin(async (sql) => {
    await sql`select coupon.outlive_leases(${id})`;
    assert.equal((await lease(id))[0], "not_leased");
  });
  assert.equal((await lease(id))[0], "leased");
});

test("a change of a coupon that isn't leased does not wait for another one's leases", async () => {
  const [{ id }, leased] = [await soldOut(1), await soldOut(2)];
  await leasedFor(leased.id, "1 hour");
  assert.equal(await value(admin`select outcome from set_coupon_count(${id}, 9)`), "changed");
  assert.equal(await value(admin`select outcome from pause_coupon(${id})`), "paused");
});

test("other coupons are issued while a change waits", async () => {
  const [{ id }, other, asker] = [await soldOut(1), await coupon(), await user()];
  await leasedFor(id, "1 hour");
  const change = admin`select from set_coupon_count(${id}, 9)`.execute();
  await waiting(watch, 1, "PgSleep");
  assert.equal(await issue(asker, other), "issued");
  change.cancel();
  await assert.rejects(change, { code: "57014" });
});

test("the leases of no coupon_id, 0 neither, are locked by issuing's lock", async () => {
  const [lunch, asker] = [await coupon(), await user()];
  for (const id of ["0", "1", "9223372036854775807"])
    await owner.begin(async (sql) => {
      await sql`select coupon.outlive_leases(${id})`;
      const [told] = await admin.begin(async (other) => {
        await other`set local lock_timeout = '2s'`;
        return other`select outcome from issue_coupon(${asker}, ${lunch})`;
      });
      assert.match(told?.["outcome"], /issued$/, id);
    });
});

test("a later lease never shortens an earlier one", async () => {
  const { id } = await soldOut(1);
  await leasedFor(id, "1 hour");
  const validUntil = () => value(owner`select valid_until::text from coupon.leases where coupon_id = ${id}`);
  const before = await validUntil();
  assert.equal((await lease(id))[0], "leased");
  assert.equal(await validUntil(), before);
});

test("a REPEATABLE READ caller doesn't miss a lease that is younger than its snapshot", async () => {
  const { id } = await soldOut(1);
  const session = await admin.reserve();
  await session`begin isolation level repeatable read`;
  await session`select from find_coupon(${id})`;
  await lease(id);
  await assert.rejects(session`select from set_coupon_count(${id}, 9)`, { code: "40001" });
  await session`rollback`;
  session.release();
});

test("not_leased with more than 100,000 holders: a server's memory is not the database", async () => {
  const { id } = await soldOut(2);
  await owner.unsafe(`
    alter table coupon.user_coupons disable trigger user;
    alter table coupon.coupons disable trigger coupons_issued_equals_grants;
    update coupon.coupons set issued = 100000, count = 100000 where id = ${id};
    insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position)
    select 1000000 + n, ${id}, clock_timestamp(), expiry, '2020-01-01', n
    from coupon.coupons, generate_series(3, 100000) n where id = ${id};
    alter table coupon.user_coupons enable trigger user`);
  const [outcome, , , , issued, holders] = await lease(id);
  assert.deepEqual([outcome, issued, holders?.length], ["leased", 100_000, 100_000]);
  await owner`update coupon.coupons set issued = 100001, count = 100001 where id = ${id}`;
  assert.equal((await lease(id))[0], "not_leased");
});

test("refuses nulls and a position below 0", async () => {
  await refusesArgument(api`select from coupon_lease(null, 0)`, "coupon_id", "22004");
  await refusesArgument(api`select from coupon_lease(1, null)`, "known_position", "22004");
  await refusesArgument(api`select from coupon_lease(1, -1)`, "known_position", "22023");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { connect } from "../db/connect.ts";

const { owner, admin, apiUrl, user, crowd, coupon, upcoming, issue, expire } = await testDatabase();
const api = connect(apiUrl, { max: 4 });
test.after(() => api.end({ timeout: 1 }));

/** In seconds; holders as numbers. */
const lease = async (coupon_id: number, known_position = 0) =>
  (
    await rows(api`
      select outcome, refusal, extract(epoch from valid_for)::float8, extract(epoch from starts_in)::float8, issued,
        holders::integer[]
      from coupon_lease(${coupon_id}, ${known_position})`)
  )[0] as [string, string | null, number, number | null, number | null, number[] | null];

/** Sold out, by so many users, in order of position. */
async function soldOut(count: number, ends_in?: string): Promise<{ id: number; holders: number[] }> {
  const holders = await crowd(count);
  const id = await coupon({ count, ...(ends_in ? { ends_in } : {}) });
  await admin`select from issue_coupons(${id}, ${holders}::bigint[])`;
  return { id, holders };
}

/** How long a statement took, s. */
async function seconds(statement: PromiseLike<unknown>): Promise<number> {
  const began = performance.now();
  await statement;
  return (performance.now() - began) / 1000;
}

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

  const near = await lease(await coupon({ starts_in: "0.4 s" }));
  assert.deepEqual([near[0], near[1]], ["leased", "not_started"]);
  assert.equal(near[2], near[3], "valid until the microsecond of start_time");
  assert.ok(near[2] > 0 && near[2] <= 0.4, `${near[2]}`);
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
  const { id } = await soldOut(1, "0.5 s");
  const [outcome, refusal, valid_for] = await lease(id);
  assert.deepEqual([outcome, refusal], ["leased", "sold_out"]);
  assert.ok(valid_for > 0 && valid_for <= 0.5, `${valid_for}`);
});

test("ended: waits for a grant that was made before expiry and commits after it", async () => {
  const [lunch, winner] = [await coupon({ ends_in: "0.3 s" }), await user()];
  const session = await admin.reserve();
  await session`begin`;
  assert.equal(await value(session`select outcome from issue_coupon(${winner}, ${lunch})`), "issued");
  await sleep(400);
  const asked = lease(lunch);
  await sleep(100);
  await session`commit`;
  session.release();
  assert.deepEqual(await asked, ["leased", "ended", 1, null, 1, [winner]]);
});

for (const [name, change] of [
  ["set_coupon_count", (id: number) => admin`select outcome from set_coupon_count(${id}, 50)`],
  ["pause_coupon", (id: number) => admin`select outcome from pause_coupon(${id})`],
  [
    "set_coupon_expiry",
    (id: number) =>
      admin`select outcome from set_coupon_expiry(${id}, clock_timestamp() + interval '3 days')`,
  ],
  ["an update by hand", (id: number) => owner`update coupon.coupons set count = 51 where id = ${id}`],
] as const)
  test(`${name} waits until the leases have run out, and meanwhile there are none`, async () => {
    const { id } = await soldOut(2);
    assert.equal((await lease(id))[0], "leased");
    const until = owner`select clock_timestamp() >= valid_until from coupon.leases where coupon_id = ${id}`;
    const changed = change(id).then(() => value(until));
    await sleep(300);
    assert.equal((await lease(id))[0], "not_leased");
    assert.equal(await changed, true);
  });

test("resume_coupon waits until nobody says paused any more", async () => {
  const lunch = await coupon();
  await admin`select from pause_coupon(${lunch})`;
  await lease(lunch);
  const took = await seconds(admin`select outcome from resume_coupon(${lunch})`);
  assert.ok(took > 0.9 && took < 1.9, `${took} s`);
  assert.equal(await issue(await user(), lunch), "issued");
});

test("a change of a coupon that isn't leased waits for nothing", async () => {
  const [{ id }, leased] = [await soldOut(1), await soldOut(2)];
  await lease(leased.id);
  assert.ok((await seconds(admin`select from set_coupon_count(${id}, 9)`)) < 0.5);
  assert.ok((await seconds(admin`select from pause_coupon(${id})`)) < 0.5);
});

test("other coupons are issued while a change waits", async () => {
  const [{ id }, other, asker] = [await soldOut(1), await coupon(), await user()];
  await lease(id);
  let changed = false;
  const change = admin`select from set_coupon_count(${id}, 9)`.then(() => {
    changed = true;
  });
  await sleep(200);
  assert.equal(await issue(asker, other), "issued");
  assert.equal(changed, false);
  await change;
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
  const lunch = await coupon({ ends_in: "1.2 s", count: 1 });
  await issue(await user(), lunch);
  await lease(lunch);
  const before = await value(owner`select valid_until from coupon.leases where coupon_id = ${lunch}`);
  await lease(lunch);
  const after = await value(owner`select valid_until from coupon.leases where coupon_id = ${lunch}`);
  assert.ok((after as Date) >= (before as Date));
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
  await sleep(1_000);
  await owner`update coupon.coupons set issued = 100001, count = 100001 where id = ${id}`;
  assert.equal((await lease(id))[0], "not_leased");
});

test("refuses nulls and a position below 0", async () => {
  await refusesArgument(api`select from coupon_lease(null, 0)`, "coupon_id", "22004");
  await refusesArgument(api`select from coupon_lease(1, null)`, "known_position", "22004");
  await refusesArgument(api`select from coupon_lease(1, -1)`, "known_position", "22023");
});

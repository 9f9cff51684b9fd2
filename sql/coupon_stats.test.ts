import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, crowd, coupon, issue, use } = await testDatabase();

const stats = (coupon_id: number) =>
  rows(admin`
    select count, issued, remaining, used::integer, first_issued_at::text, last_issued_at::text, time_to_sell_out::text
    from coupon_stats(${coupon_id})`);

const issuedAt = (coupon_id: number, position: number) =>
  value(owner`
    select issued_at::text from coupon.user_coupons where (coupon_id, position) = (${coupon_id}, ${position})`);

test("nothing issued", async () => {
  assert.deepEqual(await stats(await coupon({ count: 5 })), [[5, 0, 5, 0, null, null, null]]);
});

test("some issued, some used", async () => {
  const [lunch, a, b, c] = [await coupon({ count: 5 }), await user(), await user(), await user()];
  for (const holder of [a, b, c]) await issue(holder, lunch);
  for (const holder of [a, c]) await use(holder, lunch, "r");
  assert.deepEqual(await stats(lunch), [
    [5, 3, 2, 2, await issuedAt(lunch, 1), await issuedAt(lunch, 3), null],
  ]);
});

test("cut to what is issued: since the cut; a restock takes that back", async () => {
  const lunch = await coupon({ count: 7 });
  await issue(await user(), lunch);
  const told = () =>
    rows(admin`
      select s.sold_out_at between s.last_issued_at and clock_timestamp(), s.time_to_sell_out = s.sold_out_at - c.start_time
      from coupon_stats(${lunch}) s, coupon.coupons c where c.id = ${lunch}`);
  const before = (await value(owner`select clock_timestamp()::text`)) as string;
  await admin`select from set_coupon_count(${lunch}, 1)`;
  assert.deepEqual(await told(), [[true, true]]);
  const isSinceTheCut = owner`select sold_out_at > ${before}::text::timestamptz from coupon.coupons where id = ${lunch}`;
  assert.equal(await value(isSinceTheCut), true);
  await admin`select from set_coupon_count(${lunch}, 2)`;
  assert.deepEqual(await told(), [[null, null]]);
  await issue(await user(), lunch);
  const soldOut = admin`select sold_out_at = last_issued_at from coupon_stats(${lunch})`;
  assert.deepEqual(await rows(soldOut), [[true]]);
});

test("sold out: from start_time to the last grant", async () => {
  const lunch = await coupon({ count: 2 });
  for (const _ of [1, 2]) await issue(await user(), lunch);
  const took = await value(owner`
    select (g.issued_at - c.start_time)::text
    from coupon.coupons c join coupon.user_coupons g on g.coupon_id = c.id and g.position = 2
    where c.id = ${lunch}`);
  assert.deepEqual(await stats(lunch), [
    [2, 2, 0, 0, await issuedAt(lunch, 1), await issuedAt(lunch, 2), took],
  ]);
});

test("uses by hand, replays, and uses that are taken back are counted", async () => {
  const lunch = await coupon({ count: 50 });
  const holders = await crowd(40);
  await admin`select from issue_coupons(${lunch}, ${holders}::bigint[])`;
  const used = async () => (await stats(lunch))[0]?.[3];
  await Promise.all(holders.slice(0, 30).map((holder) => use(holder, lunch, "r")));
  assert.equal(await used(), 30);
  for (const holder of holders.slice(0, 3)) await use(holder, lunch, "r");
  assert.equal(await used(), 30);
  await Promise.all(
    holders.slice(0, 20).map((holder) => admin`select from undo_use(${holder}, ${lunch}, 'cancelled')`),
  );
  assert.equal(await used(), 10);
  await owner`
    update coupon.user_coupons set used_date = clock_timestamp(), use_reference = 'by hand'
    where coupon_id = ${lunch} and not is_used`;
  assert.equal(await used(), 40);
  await admin`select from set_coupon_expiry(${lunch}, now() + interval '9 days')`;
  assert.equal(await used(), 40);
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});

test("reads two grants, however many there are", async () => {
  const lunch = await coupon({ count: 5000 });
  await admin`select from issue_coupons(${lunch}, ${await crowd(3000)}::bigint[])`;
  const read = await owner.begin(async (sql) => {
    // The session's earlier transactions may be counted too, until PostgreSQL hands their counts on.
    const soFar = () =>
      value(sql`
        select (seq_tup_read + coalesce(idx_tup_fetch, 0))::integer from pg_stat_xact_user_tables
        where relid = 'coupon.user_coupons'::regclass`) as Promise<number>;
    const before = await soFar();
    await sql`select from coupon_stats(${lunch})`;
    return (await soFar()) - before;
  });
  assert.equal(read, 2);
});

test("code is the coupon's", async () => {
  const lunch = await coupon();
  const codes = admin`select s.code = c.code from coupon_stats(${lunch}) s, find_coupon(${lunch}) c`;
  assert.deepEqual(await rows(codes), [[true]]);
});

test("no such coupon: no row", async () => {
  assert.deepEqual(await stats(999_999), []);
});

test("refuses a null", () => refusesArgument(admin`select from coupon_stats(null)`, "coupon_id", "22004"));

/**
 * The plans that the functions rely on: a grant is found by its position, since PostgreSQL expands position_key() in queries and in
 * the index, so that both match; and a batch is joined by hash, so that its time grows with its length and not with its square.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase } from "../bench/harness/rows.ts";
import { connect, type Sql } from "../db/connect.ts";

const { admin, owner, adminUrl, crowd, coupon } = await testDatabase();

const BY_POSITION = `
  select from coupon.user_coupons g
  where coupon.position_key(g.coupon_id, g.position) = coupon.position_key(7, 3)`;

async function plan(sql: Pick<Sql, "unsafe">): Promise<string> {
  const lines = await rows(sql.unsafe(`explain (costs off) ${BY_POSITION}`));
  return lines.flat().join("\n");
}

const probe =
  /^Index Scan using user_coupons_one_per_position .*\n +Index Cond: \(\(\(coupon_id \* 134217728\) \+ "position"\) = /;

test("a grant is found by its position's index, and position_key() is expanded", async () => {
  await owner.begin(async (sql) => {
    await sql`set local enable_bitmapscan = off`;
    assert.match(await plan(sql), probe);
  });
});

test("also in a session that has read the grants as a login of its own before", async (t) => {
  const session = connect(adminUrl);
  t.after(() => session.end());
  await session`select from coupon.user_coupons where coupon_id = 7`;
  await session`set enable_bitmapscan = off`;
  assert.match(await plan(session), probe);
});

/** The time of a call with 10,000 users, as a multiple of ten calls with 1,000 each. A nested loop over users makes it 4 and more. */
async function growth(call: (userIds: number[]) => Promise<unknown>, userIds: number[][]): Promise<number> {
  const [first = [], ...rest] = userIds;
  const began = performance.now();
  await call(first);
  const between = performance.now();
  for (const ids of rest) await call(ids);
  return (between - began) / (performance.now() - between);
}

/** New users: 10,000, and ten times 1,000. */
async function crowds(): Promise<number[][]> {
  const userIds = [await crowd(10_000)];
  for (let i = 0; i < 10; i++) userIds.push(await crowd(1_000));
  return userIds;
}

/** The least of up to four, since a busy machine may stand still in either half. */
async function leastGrowth(measure: () => Promise<number>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 1; attempt <= 4 && least > 2.5; attempt++) least = Math.min(least, await measure());
  return least;
}

test("a batch ten times as long takes ten times as long", async () => {
  const id = await coupon({ count: 1_000_000 });
  const issue = (ids: number[]) => admin`select count(*) from issue_coupons(${id}, ${ids}::bigint[])`;
  const least = await leastGrowth(async () => growth(issue, await crowds()));
  assert.ok(least < 2.5, `${least.toFixed(1)} times as long as ten batches of a tenth`);
});

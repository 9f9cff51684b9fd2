/** That a grant is found by its position: PostgreSQL expands position_key() in queries and in the index, so that both match. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase } from "../bench/harness/rows.ts";
import { connect, type Sql } from "../db/connect.ts";

const { owner, adminUrl } = await testDatabase();

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

import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin } = await testDatabase();

test("deletes what is two days old, and nothing younger", async () => {
  await owner`
    insert into coupon.forgotten_subjects (digest, user_id, forgotten_at)
    select sha256(n::text::bytea), n, clock_timestamp() - ago
    from (values (1, interval '0'), (2, '47 hours 59 minutes'), (3, '2 days 1 second'), (4, '1 year')) o (n, ago)`;
  assert.equal(await value(admin`select forget_subjects()`), 2);
  assert.deepEqual(await rows(owner`select user_id::integer from coupon.forgotten_subjects order by 1`), [
    [1],
    [2],
  ]);
  assert.equal(await value(admin`select forget_subjects()`), 0);
});

test("one that another call deletes is passed over", async () => {
  await owner`update coupon.forgotten_subjects set forgotten_at = forgotten_at - interval '3 days'`;
  await owner.begin(async (sql) => {
    assert.equal(await value(sql`select forget_subjects()`), 2);
    assert.equal(await value(admin`select forget_subjects()`), 0);
  });
});

/** Leases while the database's clock is set. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { FAKETIME, openFakeTime } from "../bench/faults/clock.ts";
import { startCluster } from "../bench/faults/cluster.ts";
import { cleanUp } from "../bench/harness/cleanup.ts";
import { createThings } from "../bench/harness/coupons.ts";
import { value } from "../bench/harness/rows.ts";
import { scratchDatabase } from "../bench/harness/scratch.ts";
import { until } from "../bench/harness/waiting.ts";
import { connect } from "../db/connect.ts";

const skip = existsSync(FAKETIME) ? false : "needs libfaketime";

test.after(cleanUp);

async function open(t: TestContext) {
  const clock = await openFakeTime();
  t.after(clock.close);
  const cluster = await startCluster({ environment: clock.environment });
  t.after(cluster.close);
  const scratch = await scratchDatabase(cluster.url);
  const api = connect(scratch.apiUrl, { max: 1 });
  t.after(() => Promise.all([api, scratch.owner, scratch.admin].map((sql) => sql.end({ timeout: 1 }))));
  return { ...scratch, api, clock };
}

test("after the clock was set back, pause and restock take a second, and no lease is lost", {
  skip,
}, async (t) => {
  const { owner, admin, api, clock } = await open(t);
  const { newCoupon, newUser } = createThings(admin);
  const [coupon, user] = [await newCoupon({ count: 1 }), await newUser()];
  await admin`select from issue_coupon(${user}, ${coupon})`;
  const ask = () => value(api`select outcome from coupon_leases(array[${coupon}]::bigint[])`);
  const ms = async () => Number(await value(owner`select extract(epoch from clock_timestamp()) * 1000`));
  for (const change of [
    (sql: typeof admin) => sql`select outcome from pause_coupon(${coupon})`,
    (sql: typeof admin) => sql`select outcome from resume_coupon(${coupon})`,
    (sql: typeof admin) => sql`select outcome from set_coupon_count(${coupon}, 2)`,
  ]) {
    await clock.write(0);
    await until(async () => Math.abs((await ms()) - Date.now()) < 10_000, "the clock is right");
    assert.equal(await ask(), "leased");
    await clock.write(-30);
    await until(async () => Date.now() - (await ms()) > 20_000, "the clock is back");
    assert.equal(await ask(), "leased");
    const began = performance.now();
    // With a lease that had to reach its instant again it would take 30 s; the server's statement_timeout is 5 s.
    await admin.begin(async (sql) => {
      await sql`set local statement_timeout = '5s'`;
      assert.match(String(await value(change(sql as unknown as typeof admin))), /paused|resumed|changed/);
    });
    assert.ok(performance.now() - began >= 1_000);
  }
  assert.equal(await value(admin`select outcome from issue_coupon(${await newUser()}, ${coupon})`), "issued");
});

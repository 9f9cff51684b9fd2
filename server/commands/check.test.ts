import assert from "node:assert/strict";
import { test } from "node:test";
import { printed } from "../../bench/harness/printed.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { readEnv } from "../env.ts";
import { check } from "./check.ts";

test("check finds what was planted", async (t) => {
  const { setupUrl, admin, owner, drop } = await scratchDatabase();
  t.after(drop);
  const env = readEnv({ DATABASE_URL: setupUrl }, "");
  await admin`select create_coupon('C1', 'm', 'd', now() - interval '1 minute', now() + interval '1 hour', 5)`;
  const plant = (issued: number) =>
    owner.unsafe(`
      do $$ begin
        alter table coupon.coupons disable trigger user;
        update coupon.coupons set issued = ${issued};
        alter table coupon.coupons enable trigger user;
      end $$`);
  const nothing = ["0 broken invariants in 1 coupon and 0 grants"];
  assert.deepEqual(await printed(t, () => check(env)), nothing);
  await plant(2);
  assert.deepEqual(await printed(t, () => check(env), 1), [
    "issued_equals_grants: coupon 1, user -: issued 2, grants 0",
    "1 broken invariant in 1 coupon and 0 grants",
  ]);
  await plant(0);
  assert.deepEqual(await printed(t, () => check(env)), nothing);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../db/connect.ts";
import { scratchDatabase } from "../db/scratch.ts";

test("stale winners", async (t) => {
  const database = await scratchDatabase();
  t.after(() => database.drop());
  const { admin, owner } = database;
  const watch = connect(database.setupUrl);
  t.after(() => watch.end());
  await admin`select * from import_users(array[1, 2], array['Ann', 'Ben'])`;
  await admin`
    select * from create_coupon('A', 'm', 'd', clock_timestamp(), clock_timestamp() + interval '1 day', 1)`;
  const held = await owner.reserve();
  await held`begin`;
  await held`select coupon.lock_issuing(1)`;
  await held`update coupon.coupons set paused = true`;
  const asked = admin`select * from issue_coupon(1, 1)`.catch((e) => e);
  for (;;) {
    const [n] = await watch`select count(*) as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    if (n?.["n"] === "1") break;
  }
  await held`commit`;
  held.release();
  console.log(await asked);
});

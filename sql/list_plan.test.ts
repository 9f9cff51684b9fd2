import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase } from "../bench/harness/rows.ts";

const { admin } = await testDatabase();

test("the entries by weekday and slot; none at first", async () => {
  assert.deepEqual(await rows(admin`select * from list_plan()`), []);
  for (const [weekday, slot] of [
    [7, 1],
    [1, 2],
    [1, 1],
  ] as const)
    await admin`select from set_plan_entry(${weekday}, ${slot}, ${`E${slot}-{date}`}, 'm', 'd', ${`1${slot}:00`}::text::time, '23:00', ${slot})`;
  assert.deepEqual(await rows(admin`select * from list_plan()`), [
    [1, 1, "E1-{date}", "m", "d", "11:00:00", "23:00:00", 0, 1, {}],
    [1, 2, "E2-{date}", "m", "d", "12:00:00", "23:00:00", 0, 2, {}],
    [7, 1, "E1-{date}", "m", "d", "11:00:00", "23:00:00", 0, 1, {}],
  ]);
});

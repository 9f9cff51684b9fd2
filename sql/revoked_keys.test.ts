import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase } from "../bench/harness/rows.ts";
import { connect } from "../db/connect.ts";

const { owner, apiUrl, adminUrl } = await testDatabase();

test("those that are revoked, for 366 days and until a day after their end; without an end for ever", async (t) => {
  for (const [id, ends, revoked] of [
    ["good", "1 day", null],
    ["revoked", "1 day", "0 days"],
    ["ends-too-early", "-3 days", "-365 days"],
    ["just-over", "-23 hours", "-367 days"],
    ["over", "-25 hours", "-367 days"],
    ["foreign", null, "-1000 days"],
  ] as const)
    await owner`
      insert into coupon.keys (id, name, expires_at, revoked_at)
      values (
        ${id}, 'n', clock_timestamp() + ${ends}::text::interval, clock_timestamp() + ${revoked}::text::interval)`;
  const api = connect(apiUrl);
  t.after(() => api.end());
  assert.deepEqual((await rows(api`select key_id from revoked_keys() order by 1`)).flat(), [
    "ends-too-early",
    "foreign",
    "just-over",
    "revoked",
  ]);
});

test("nobody else needs them", async (t) => {
  const session = connect(adminUrl);
  t.after(() => session.end());
  assert.equal((await session`select from list_keys()`).length, 6);
});

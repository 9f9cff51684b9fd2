import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase } from "../bench/harness/rows.ts";
import { connect } from "../db/connect.ts";

const { admin, apiUrl, adminUrl } = await testDatabase();

test("those that are revoked, until a day after they expired; without an end those that nobody recorded", async (t) => {
  for (const [id, ends] of [
    ["good", "1 day"],
    ["revoked", "1 day"],
    ["just-over", "-23 hours"],
    ["over", "-25 hours"],
  ] as const)
    await admin`select from record_key(${id}, 'n', null, clock_timestamp() + ${ends}::text::interval)`;
  for (const id of ["revoked", "just-over", "over", "foreign"]) await admin`select from revoke_key(${id})`;
  const api = connect(apiUrl);
  t.after(() => api.end());
  assert.deepEqual((await rows(api`select key_id from revoked_keys() order by 1`)).flat(), [
    "foreign",
    "just-over",
    "revoked",
  ]);
});

test("nobody else needs them", async (t) => {
  const session = connect(adminUrl);
  t.after(() => session.end());
  assert.equal((await session`select from list_keys()`).length, 5);
});

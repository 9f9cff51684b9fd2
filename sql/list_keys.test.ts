import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase } from "../bench/harness/rows.ts";

const { admin } = await testDatabase();

test("what was recorded and what was revoked, the newest first", async () => {
  assert.deepEqual(await rows(admin`select * from list_keys()`), []);
  await admin`select from record_key('k-1', 'POS north', 'use', '2059-01-01Z')`;
  await admin`select from record_key('k-2', 'shop', null, '2059-01-01Z')`;
  await admin`select from revoke_key('k-3')`;
  await admin`select from revoke_key('k-1')`;
  assert.deepEqual(await rows(admin`select id, name, scope, revoked_at is not null from list_keys()`), [
    ["k-3", null, null, true],
    ["k-2", "shop", null, false],
    ["k-1", "POS north", "use", true],
  ]);
});

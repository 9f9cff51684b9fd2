import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase } from "../bench/harness/rows.ts";
import { connect } from "../db/connect.ts";

const { owner, admin, adminUrl, user, coupon, issue } = await testDatabase();

test("the newest first", async () => {
  await admin`select from rotate_claim_secret()`;
  assert.deepEqual(await rows(admin`select secret_id, retired_at from claim_secrets()`), [
    [2, null],
    [1, null],
  ]);
});

test("nobody but the owner reads a key, and who may only read is told no code", async (t) => {
  const holder = await user();
  await issue(holder, await coupon());
  const session = connect(adminUrl);
  t.after(() => session.end());
  await assert.rejects(session`select from coupon.claim_secrets`, { code: "42501" });
  await assert.rejects(session`copy coupon.claim_secrets to stdout`, { code: "42501" });
  await assert.rejects(session`select coupon.find_claim('c')`, { code: "42501" });

  assert.deepEqual(await rows(session`select claim_code is null from wallet(${holder})`), [[false]]);
  // A login that is coupon_monitor's has no such right either.
  await owner`revoke execute on function public.use_claim(text, text, text) from coupon_admin`;
  assert.deepEqual(await rows(session`select claim_code from wallet(${holder})`), [[null]]);
});

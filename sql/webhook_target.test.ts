import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase, value } from "../bench/harness/rows.ts";
import { connect } from "../db/connect.ts";

const { admin, apiUrl } = await testDatabase();

test("where it is and what signs: for the server alone", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  const secret = await value(admin`select secret from set_webhook('crm', 'https://crm.example/')`);
  assert.deepEqual(await rows(api`select url, to_json(secrets) from webhook_target('crm')`), [
    ["https://crm.example/", [secret]],
  ]);
  assert.deepEqual(await rows(api`select from webhook_target('none')`), []);
  await assert.rejects(admin`select from webhook_target('crm')`, { code: "42501" });
  await assert.rejects(admin`select from coupon.webhook_secrets`, { code: "42501" });
});

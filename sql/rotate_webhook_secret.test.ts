import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase, value } from "../bench/harness/rows.ts";
import { connect } from "../db/connect.ts";

const { admin, owner, apiUrl } = await testDatabase();

test("webhook_not_found, and rotated: the two newest sign, for a day", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  const secrets = async () => (await api`select to_json(secrets) as s from webhook_target('crm')`)[0]?.["s"];
  const rotate = async () => {
    const [row] =
      await admin`select outcome, secret from rotate_webhook_secret('crm', 'leaked', 'admin:ops')`;
    return [row?.["outcome"], row?.["secret"]];
  };
  assert.deepEqual(await rotate(), ["webhook_not_found", null]);
  const first = await value(admin`select secret from set_webhook('crm', 'https://crm.example/')`);
  assert.deepEqual(await secrets(), [first]);
  const [outcome, second] = await rotate();
  assert.equal(outcome, "rotated");
  assert.deepEqual(await secrets(), [second, first]);
  assert.equal(
    await value(
      admin`select second_secret_until between now() + '23:59' and now() + '1 day' from list_webhooks()`,
    ),
    true,
  );
  const [, third] = await rotate();
  assert.deepEqual(await secrets(), [third, second], "the one that leaked is out after a second call");
  await owner`update coupon.webhook_secrets set ends_at = clock_timestamp() where ends_at is not null`;
  assert.deepEqual(await secrets(), [third]);
  assert.equal(await value(admin`select second_secret_until from list_webhooks()`), null);
  assert.equal(new Set([first, second, third]).size, 3);
  assert.deepEqual(
    await rows(admin`select command, new_values, reason, actor from audit_trail(page_size => 1)`),
    [["rotate_webhook_secret", { webhook_name: "crm", number: 3 }, "leaked", "admin:ops"]],
  );
});

test("rotated: also where a dump left the secrets out, as reconcile() says", async () => {
  await owner`delete from coupon.webhook_secrets`;
  assert.deepEqual(await rows(admin`select invariant from reconcile()`), [["webhook_has_a_secret"]]);
  assert.equal(await value(admin`select outcome from rotate_webhook_secret('crm')`), "rotated");
  assert.deepEqual(await rows(owner`select number, ends_at from coupon.webhook_secrets`), [[1, null]]);
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});

test("the audit tells no secret", async () => {
  const audit = await value(owner`select string_agg(a::text, ' ') from coupon.audit a`);
  assert.doesNotMatch(String(audit), /whsec/);
});

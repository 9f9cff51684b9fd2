import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, coupon, issue } = await testDatabase();

const [holder, lunch] = [await user(), await coupon()];
await issue(holder, lunch);
const code = async () => (await value(admin`select claim_code from wallet(${holder})`)) as string;
const isFound = async (claim_code: string) =>
  (await value(admin`select outcome from use_claim(${claim_code}, 'r')`)) !== "claim_not_found";
const rotate = () => rows(admin`select * from rotate_claim_secret('leaked', 'admin:root')`);

test("rotated: new codes are shown, and those of before are found until their secret is retired", async () => {
  const first = await code();
  assert.deepEqual(await rotate(), [["rotated", 2]]);
  const second = await code();
  assert.notEqual(second, first);
  assert.deepEqual([await isFound(first), await isFound(second)], [true, true]);
  assert.deepEqual(await rows(admin`select * from retire_claim_secret(1, 'leaked')`), [["retired"]]);
  assert.deepEqual([await isFound(first), await isFound(second)], [false, true]);
  assert.equal(await code(), second);
});

test("older_in_use: a third one waits until one of two is retired", async () => {
  assert.deepEqual(await rotate(), [["rotated", 3]]);
  assert.deepEqual(await rotate(), [["older_in_use", 2]]);
  await admin`select from retire_claim_secret(2)`;
  assert.deepEqual(await rotate(), [["rotated", 4]]);
});

test("two at once: one of them waits, and sees the other's", async () => {
  await admin`select from retire_claim_secret(3)`;
  const outcomes = (await Promise.all([rotate(), rotate()])).flat().toSorted();
  assert.deepEqual(outcomes, [
    ["older_in_use", 4],
    ["rotated", 5],
  ]);
});

test("the audit tells who and why, and the list tells no key", async () => {
  assert.deepEqual(
    await rows(admin`
      select command, new_values, reason, actor from audit_trail()
      where command in ('rotate_claim_secret', 'retire_claim_secret') and new_values = '{"secret_id": 2}'
      order by id`),
    [
      ["rotate_claim_secret", { secret_id: 2 }, "leaked", "admin:root"],
      ["retire_claim_secret", { secret_id: 2 }, null, null],
    ],
  );
  assert.deepEqual(
    await rows(admin`
      select secret_id, created_at < clock_timestamp(), retired_at > created_at from claim_secrets()`),
    [
      [5, true, null],
      [4, true, null],
      [3, true, true],
      [2, true, true],
      [1, true, true],
    ],
  );
  assert.deepEqual(await rows(owner`select id from coupon.claim_secrets where key is not null order by id`), [
    [4],
    [5],
  ]);
});

test("all secrets were lost, as in a restored dump without them: no codes, told by reconcile(), until there is a new one", async () => {
  const lost = await code();
  await owner`alter table coupon.claim_secrets disable trigger user`;
  await owner`delete from coupon.claim_secrets`;
  await owner`alter table coupon.claim_secrets enable trigger user`;
  assert.equal(await code(), null);
  assert.equal(await isFound(lost), false);
  assert.deepEqual((await rows(admin`select invariant from reconcile()`)).flat(), [
    "claim_codes_have_a_secret",
  ]);
  assert.deepEqual(await rotate(), [["rotated", 1]]);
  assert.equal(await isFound(await code()), true);
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from rotate_claim_secret('')`, "reason", "22023");
  await refusesArgument(admin`select from rotate_claim_secret('r', '')`, "actor", "22023");
});

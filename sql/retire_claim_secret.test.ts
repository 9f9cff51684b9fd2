import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin } = await testDatabase();

const retire = (secret_id: number) => value(admin`select outcome from retire_claim_secret(${secret_id})`);

test("newest, then retired once there is a newer one, then already_retired; secret_not_found", async () => {
  assert.equal(await retire(1), "newest");
  await admin`select from rotate_claim_secret()`;
  assert.equal(await retire(1), "retired");
  assert.equal(await retire(1), "already_retired");
  assert.equal(await retire(3), "secret_not_found");
  assert.deepEqual(
    await rows(owner`select id, key is null, retired_at is null from coupon.claim_secrets order by id`),
    [
      [1, true, false],
      [2, false, true],
    ],
  );
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from retire_claim_secret(null)`, "secret_id", "22004");
  await refusesArgument(admin`select from retire_claim_secret(1, '')`, "reason", "22023");
  await refusesArgument(admin`select from retire_claim_secret(1, 'r', '')`, "actor", "22023");
});

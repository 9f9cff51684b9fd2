import assert from "node:assert/strict";
import { after, test } from "node:test";
import { cleanUp, cleanUpOnSignals } from "../../bench/harness/cleanup.ts";
import { printed } from "../../bench/harness/printed.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { runSd } from "../../bench/harness/sd.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { setUp } from "../../db/setup.ts";
import { readEnv } from "../env.ts";
import { doctor } from "./doctor.ts";

after(cleanUp);
cleanUpOnSignals();

test("doctor: what differs, a line each, and its status", async (t) => {
  const { setupUrl, target, owner, drop } = await scratchDatabase();
  t.after(drop);
  await setUp(target); // a copy of a database has lost the roles' rights on the database itself
  const dataDir = await temporaryDirectory();
  const env = readEnv({ DATABASE_URL: setupUrl, DATA_DIR: dataDir }, "");
  assert.deepEqual(await printed(t, () => doctor(env)), ["nothing differs"]);

  await owner`alter table coupon.user_coupons disable trigger user_coupons_check_new_grants`;
  assert.deepEqual(await printed(t, () => doctor(env), 1), [
    "trigger user_coupons_check_new_grants on coupon.user_coupons: state is disabled, should be enabled → " +
      "alter table coupon.user_coupons enable trigger user_coupons_check_new_grants;",
    "1 thing differs",
  ]);
  await owner`create function coupon.mine() returns integer language sql return 1`;
  const { status: exit, stdout } = await runSd(["doctor"], { dataDir, env: { DATABASE_URL: setupUrl } });
  assert.deepEqual(
    [exit, stdout.split("\n").slice(1)],
    [
      1,
      ["function coupon.mine() is not of this release → drop function coupon.mine();", "2 things differ", ""],
    ],
  );
});

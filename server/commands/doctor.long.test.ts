import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, test } from "node:test";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { newDataDir } from "../../bench/harness/embedded.ts";
import { printed } from "../../bench/harness/printed.ts";
import { dropDatabase } from "../../bench/harness/scratch.ts";
import { runSd } from "../../bench/harness/sd.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { connect, withConnection } from "../../db/connect.ts";
import { startEmbedded } from "../../db/embedded/embedded.ts";
import { setUp } from "../../db/setup.ts";
import { targetOf } from "../../db/target.ts";
import { readEnv } from "../env.ts";
import { doctor } from "./doctor.ts";

after(cleanUp);

test("doctor: what differs, a line each, and its status", async (t) => {
  // One of its own: that of the tests does not sync to disk, which differs.
  const { url } = await startEmbedded({ dataDir: await newDataDir() });
  const target = targetOf(url);
  await setUp(target);
  const owner = connect(target, { role: "coupon_owner" });
  t.after(() => owner.end({ timeout: 1 }));
  const dataDir = await temporaryDirectory();
  const env = readEnv({ DATABASE_URL: url, DATA_DIR: dataDir }, "");
  assert.deepEqual(await printed(t, () => doctor(env)), ["nothing differs"]);

  await owner`alter table coupon.user_coupons disable trigger user_coupons_check_new_grants`;
  assert.deepEqual(await printed(t, () => doctor(env), 1), [
    "trigger user_coupons_check_new_grants on coupon.user_coupons: state is disabled, should be enabled → " +
      "alter table coupon.user_coupons enable trigger user_coupons_check_new_grants;",
    "1 thing differs",
  ]);
  await owner`create function coupon.mine() returns integer language sql return 1`;
  const { status: exit, stdout } = await runSd(["doctor"], { dataDir, env: { DATABASE_URL: url } });
  assert.deepEqual(
    [exit, stdout.split("\n").slice(1)],
    [
      1,
      ["function coupon.mine() is not of this release → drop function coupon.mine();", "2 things differ", ""],
    ],
  );
});

test("a database that is not set up: what to do", async (t) => {
  const serverUrl = process.env["SCRATCH_SERVER_URL"] as string;
  const name = `coupon_scratch_${randomBytes(6).toString("hex")}`;
  await withConnection(serverUrl, (sql) =>
    sql.unsafe(`create database ${name} encoding 'UTF8' template template0`),
  );
  t.after(() => withConnection(serverUrl, (sql) => dropDatabase(sql, name)));
  const env = readEnv(
    { DATABASE_URL: targetOf(serverUrl).on(name).url, DATA_DIR: await temporaryDirectory() },
    "",
  );
  assert.deepEqual(await printed(t, () => doctor(env), 1), [
    "schema coupon is missing → ./sd migrate",
    "1 thing differs",
  ]);
});

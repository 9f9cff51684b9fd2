import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { dropDatabase } from "../../bench/harness/scratch.ts";
import { connect } from "../../db/connect.ts";
import { targetOf } from "../../db/target.ts";
import { type Env, readEnv } from "../env.ts";
import { apiUrl } from "./api-url.ts";
import { check } from "./check.ts";
import { explained } from "./database.ts";
import { doctor } from "./doctor.ts";
import { keys } from "./keys.ts";
import { psql } from "./psql.ts";
import { retire } from "./retire.ts";
import { setup } from "./setup.ts";
import { sql } from "./sql.ts";
import { webhooks } from "./webhooks.ts";

for (const [name, command] of Object.entries({ apiUrl, check, doctor, setup }))
  test(`${name}: where only a server's login is given, no other database is made and worked on`, async (t) => {
    const dataDir = await mkdtemp(join(tmpdir(), "coupon-"));
    t.after(() => rm(dataDir, { recursive: true }));
    const env = readEnv({ API_DATABASE_URL: "postgres://coupon_api:x@127.0.0.1:1/x", DATA_DIR: dataDir }, "");
    await assert.rejects(() => command(env), {
      message:
        "API_DATABASE_URL without DATABASE_URL is for ./sd start, which then only serves: this command needs DATABASE_URL",
    });
    assert.deepEqual(await readdir(dataDir), []);
  });

/** All that use what set-up made. */
const looking: Record<string, (env: Env) => Promise<number>> = {
  apiUrl,
  check,
  keys: (env) => keys(env, []),
  retire: (env) => retire(env, ["2026-01-01"]),
  sql: (env) => sql(env, ["select 1"]),
  webhooks: (env) => webhooks(env, []),
};

for (const [name, command] of Object.entries({
  ...looking,
  doctor,
  psql: (env: Env) => psql(env, ["--version"]),
}))
  test(`${name}: where no database was ever made it says so, and makes none`, async (t) => {
    const dataDir = await mkdtemp(join(tmpdir(), "coupon-"));
    t.after(() => rm(dataDir, { recursive: true }));
    await assert.rejects(() => command(readEnv({ DATA_DIR: dataDir }, "")), {
      message: `nothing is set up in ${dataDir}: run ./sd start, or give DATABASE_URL`,
    });
    assert.deepEqual(await readdir(dataDir), []);
  });

test("in a database where set-up never was, each command says so", async (t) => {
  const target = targetOf(process.env["SCRATCH_SERVER_URL"] as string);
  const name = `coupon_scratch_${randomBytes(6).toString("hex")}`;
  const server = connect(target);
  t.after(async () => {
    await dropDatabase(server, name);
    await server.end();
  });
  await server.unsafe(`create database ${name} encoding 'UTF8' template template0`);
  const env = readEnv({ DATABASE_URL: target.on(name).url }, "");
  for (const command of Object.values(looking))
    await assert.rejects(() => command(env), {
      message: `nothing is set up in database ${name} at ${target.host}: run ./sd migrate`,
    });
});

test("where something of ours is missing or somebody else's, the operator is sent to the doctor", () => {
  const denied = Object.assign(new Error("permission denied for table audit"), { code: "42501" });
  const told = "permission denied for table audit: ./sd doctor says what differs";
  assert.equal(explained(denied), told);
  assert.equal(explained(new Error(denied.message, { cause: denied })), told, "of a file of set-up");
  assert.equal(explained(new Error("shop may not create roles")), "shop may not create roles");
});

import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readEnv } from "../env.ts";
import { apiUrl } from "./api-url.ts";
import { check } from "./check.ts";
import { doctor } from "./doctor.ts";
import { setup } from "./setup.ts";

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

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { rows, testDatabase } from "../bench/harness/rows.ts";

const { admin, owner } = await testDatabase();

const files = (await readdir(new URL("../db/migrations/", import.meta.url))).sort();
const versions = files.map((name) => name.split("_")[0]);

test("the newest migration, and an oldest server that knows one of them", async () => {
  const [[migration, oldest_server] = []] = await rows(
    admin`select migration, oldest_server from schema_version()`,
  );
  assert.equal(migration, versions.at(-1));
  assert.ok(versions.includes(oldest_server as string), `${oldest_server} is a migration`);
});

test("a migration of a newer release", async () => {
  await owner`insert into coupon.schema_migrations values ('29990101000000')`;
  assert.deepEqual(await rows(admin`select migration from schema_version()`), [["29990101000000"]]);
});

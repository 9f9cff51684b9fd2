/** Package, API and database say the same version. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { testDatabase } from "../../bench/harness/rows.ts";
import { openApi } from "./openapi.ts";
import { version } from "./version.ts";

const { admin } = await testDatabase();
const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), "utf8");

test("the package", () => {
  assert.match(version, /^\d+\.\d+\.\d+$/);
  assert.equal(JSON.parse(read("package-lock.json")).version, version);
});

test("the client's package", () =>
  assert.equal(JSON.parse(read("server/public/package.json")).version, version));

test("the API's document", () => assert.equal((openApi()["info"] as { version: string }).version, version));

test("the database's functions: sql/schema_version.sql", async () => {
  const [row] = await admin`select release from schema_version()`;
  assert.equal(row?.["release"], version);
});

test("the changelog: a section, or what is unreleased will be this version", () => {
  const [, released] = read("CHANGELOG.md").match(/^## \[(\d\S*)\]/m) ?? [];
  const [, next] = read("CHANGELOG.md").match(/^## \[Unreleased\]\n\nWill be (\S+)\.$/m) ?? [];
  assert.ok([released, next].includes(version), `neither ${released} nor ${next}`);
});

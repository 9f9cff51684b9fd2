import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { atEnd, cleanUp } from "../../bench/harness/cleanup.ts";
import { madeDataDir, newDataDir } from "../../bench/harness/embedded.ts";
import { printed } from "../../bench/harness/printed.ts";
import { processesOf, runSd } from "../../bench/harness/sd.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { embeddedStatus, startEmbedded, stopEmbedded } from "../../db/embedded/embedded.ts";
import { nameOf } from "../../db/embedded/place.ts";
import { madeTokenSecret } from "../auth/secret.ts";
import { readEnv } from "../env.ts";
import { openDatabase } from "./database.ts";
import { reset } from "./reset.ts";

after(cleanUp);

const envOf = (dataDir: string) => readEnv({ DATA_DIR: dataDir }, "");

test("reset asks, removes what is ours, and nothing else", async (t) => {
  const dataDir = await madeDataDir();
  const env = envOf(dataDir);
  await startEmbedded({ dataDir });
  await madeTokenSecret(env);
  // Of a run that was killed.
  await fs.link(join(dataDir, "token.secret"), join(dataDir, "token.secret.0a1b2c3d4e5f"));
  await fs.writeFile(join(dataDir, "mine.txt"), "keep this");
  await fs.mkdir(join(dataDir, "npm-postgres-15.18.0-beta.17", "node_modules"), { recursive: true });
  const kept = (await fs.readdir(dataDir)).sort();

  for (const answer of ["no\n", ""]) {
    const { status, stdout } = await runSd(["reset"], { dataDir }, answer);
    assert.match(stdout, /nothing was removed\n$/);
    assert.equal(status, 1);
    assert.deepEqual((await fs.readdir(dataDir)).sort(), kept);
  }
  assert.equal((await embeddedStatus({ dataDir })).running, true, "it still runs");

  assert.equal((await runSd(["reset"], { dataDir }, "yes\n")).status, 0);
  assert.deepEqual(await fs.readdir(dataDir), ["mine.txt"]);
  assert.deepEqual(processesOf(dataDir), []);

  await fs.rm(join(dataDir, "mine.txt"));
  const removed = [`removed the database and all that ./sd kept in ${dataDir}`];
  assert.deepEqual(await printed(t, () => reset(env, ["--yes"])), removed);
  await assert.rejects(fs.stat(dataDir), { code: "ENOENT" });
  assert.deepEqual(await printed(t, () => reset(env, ["--yes"])), removed, "again: nothing to do");

  await fs.mkdir(join(dataDir, "cluster"), { recursive: true });
  const what = "the database, the cluster and all that ./sd";
  const { stdout } = await runSd(["reset"], { dataDir }, "yes\n");
  assert.equal(stdout, `remove ${what} keeps in ${dataDir}? Type yes: removed ${what} kept in ${dataDir}\n`);
  await assert.rejects(fs.stat(dataDir), { code: "ENOENT" });

  const given = readEnv({ DATA_DIR: dataDir, DATABASE_URL: "postgres://a@b/c" }, "");
  await assert.rejects(reset(given, ["--yes"]), {
    message: "DATABASE_URL is set, and ./sd reset removes only the embedded database",
  });
});

test("a data directory that is a link to another disk: the next start finds it", async (t) => {
  const disk = await temporaryDirectory();
  const dataDir = join(await temporaryDirectory(), "data");
  await fs.symlink(disk, dataDir);
  await madeTokenSecret(envOf(dataDir));
  await printed(t, () => reset(envOf(dataDir), ["--yes"]));
  assert.deepEqual(await fs.readdir(disk), []);
  await madeTokenSecret(envOf(dataDir));
  assert.deepEqual(await fs.readdir(disk), ["token.secret"]);
});

test("where root's PostgreSQL can't reach the checkout: stdout has the answer alone, and reset finds it", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("only root's PostgreSQL is another user's");
  const dataDir = await newDataDir(await temporaryDirectory(0o700));
  const dataDirs = [dataDir, join(dataDir, "scratch")];
  const homes = dataDirs.map((path) => join("/var/lib/coupon-drop", nameOf(path)));
  for (const home of homes) atEnd(() => fs.rm(home, { recursive: true, force: true }));
  atEnd(() => stopEmbedded({ dataDir: join(dataDir, "scratch") }));
  for (const each of dataDirs) await startEmbedded({ dataDir: each });
  assert.deepEqual(
    homes.map((home) => existsSync(join(home, "postgres"))),
    [true, true],
  );
  const remarks = t.mock.method(console, "error", () => {});
  assert.deepEqual(await printed(t, () => openDatabase(envOf(dataDir)).then(() => 0)), []);
  assert.deepEqual(
    remarks.mock.calls.map((call) => call.arguments),
    [[`PostgreSQL's data lives in ${homes[0]}`]],
  );
  // One that can't start any more is removed as well.
  await stopEmbedded({ dataDir });
  await fs.writeFile(join(homes[0] as string, "postgres/PG_VERSION"), "17\n");
  assert.deepEqual(await printed(t, () => reset(envOf(dataDir), ["--yes"])), [
    `removed the database and all that ./sd kept in ${dataDir}`,
  ]);
  assert.deepEqual([...homes, dataDir].filter(existsSync), []);
});

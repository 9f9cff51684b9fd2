import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { madeDataDir, newDataDir } from "../../bench/harness/embedded.ts";
import {
  ended,
  firstOf,
  nothingRuns,
  processesOf,
  type Run,
  sd,
  signalGroup,
} from "../../bench/harness/sd.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { until } from "../../bench/harness/waiting.ts";
import { withConnection } from "../../db/connect.ts";
import { embeddedStatus, startEmbedded } from "../../db/embedded/embedded.ts";

after(cleanUp);

const isRunning = async (dataDir: string) => (await embeddedStatus({ dataDir })).running;

/** How often the log of the cluster says that its server was told to stop. */
function stopsOf(dataDir: string): number {
  const log = readFileSync(join(dataDir, "postgres/postgres.log"), "utf8");
  return log.split("received fast shutdown request").length;
}

let migrated: Promise<string> | undefined;

/** A data directory with a database that is set up. */
function setUpDataDir(): Promise<string> {
  migrated ??= madeDataDir().then(async (dataDir) => {
    const run = sd(["migrate"], { dataDir });
    assert.equal(await ended(run), 0, run.stderr);
    return dataDir;
  });
  return migrated;
}

test("a command that started the database stops it, and doesn't wait for the statement", async () => {
  const dataDir = await setUpDataDir();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    const run = sd(["sql", "select pg_advisory_lock(4712), pg_sleep(600)"], { dataDir });
    await until(() => isRunning(dataDir));
    const asked = "select count(*)::integer from pg_locks where locktype = 'advisory' and objid = 4712";
    await until(async () => (await firstOf(dataDir, asked)) === 1);
    signalGroup(run.child, signal);
    assert.equal(await ended(run), signal === "SIGINT" ? 130 : 143);
    assert.deepEqual([run.stdout, run.stderr], ["", ""]);
    await nothingRuns(dataDir);
  }
});

test("a command whose reader is gone ends quietly, and stops the database that it started", async () => {
  const dataDir = await setUpDataDir();
  for (const args of [["sql", "select generate_series(1, 100000)"], ["check"], ["migrate"]]) {
    const run = sd(args, { dataDir });
    run.child.stdout.destroy();
    assert.equal(await ended(run), 0, run.stderr);
    assert.equal(run.stderr, "");
    await nothingRuns(dataDir);
  }
});

/** Interrupts a run of ./sd at this moment, and asserts that nothing is left. */
async function interrupted(run: Run, dataDir: string, home: string): Promise<void> {
  signalGroup(run.child, "SIGINT");
  await ended(run);
  await nothingRuns(home);
  assert.deepEqual(processesOf(dataDir), []);
}

test("a command: as soon as PostgreSQL runs, and while it stops", async () => {
  const dataDir = await setUpDataDir();
  const early = sd(["sql", "select pg_sleep(600)"], { dataDir });
  await until(() => isRunning(dataDir));
  await interrupted(early, dataDir, dataDir);
  assert.deepEqual([early.stdout, early.stderr, await ended(early)], ["", "", 130]);

  const before = stopsOf(dataDir);
  const late = sd(["check"], { dataDir });
  await until(() => stopsOf(dataDir) > before);
  await interrupted(late, dataDir, dataDir);
});

test("./sd test: as soon as PostgreSQL runs, at the template, in the tests, and while it stops", async () => {
  const dataDir = await newDataDir();
  const home = join(dataDir, "scratch");
  const directory = await temporaryDirectory();
  const [begun, endless, empty] = ["begun", "endless.test.ts", "empty.test.ts"].map((name) =>
    join(directory, name),
  ) as [string, string, string];
  await fs.writeFile(empty, 'import { test } from "node:test"; test("nothing", () => {});');
  await fs.writeFile(
    endless,
    `import { writeFileSync } from "node:fs"; import { test } from "node:test";
    test("endless", () => new Promise(() => { setInterval(() => {}, 1000); writeFileSync("${begun}", ""); }));`,
  );
  const template = async () => {
    const { url } = await startEmbedded({ dataDir: home });
    return withConnection(url, async (sql) => {
      const rows = await sql`select from pg_database where datname like 'coupon\_template\_%'`;
      return rows.length > 0;
    });
  };
  const exists = (path: string) => fs.stat(path).then(Boolean, () => false);

  // None of these ends by itself, so that no moment can be missed.
  for (const isMoment of [() => isRunning(home), template, () => exists(begun)]) {
    await fs.rm(begun, { force: true });
    const run = sd(["test", endless], { dataDir });
    await until(() => isRunning(home));
    await until(isMoment);
    await interrupted(run, dataDir, home);
  }

  const before = stopsOf(home);
  const last = sd(["test", empty], { dataDir });
  await until(() => stopsOf(home) > before);
  await interrupted(last, dataDir, home);
});

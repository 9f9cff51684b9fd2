import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { withConnection } from "../../db/connect.ts";
import { embeddedStatus, startEmbedded, stopEmbedded } from "../../db/embedded/embedded.ts";
import { TYPESCRIPT } from "../../server/typescript.ts";
import { atEnd, cleanUp } from "./cleanup.ts";
import { newDataDir } from "./embedded.ts";
import { ended, nothingRuns, type Run, runSd, said, sd, signalGroup } from "./sd.ts";
import { until } from "./waiting.ts";

after(cleanUp);

/** What ./sd test runs, with another program than the tests. */
const MAIN = [...TYPESCRIPT, "bench/harness/main.ts"];

/** A run of a program that uses a database of its own once it is told to. */
async function sharer(dataDir: string): Promise<Run & { goOn(): Promise<void> }> {
  const program = `
    const { scratchDatabase } = await import("./bench/harness/scratch.ts");
    console.log("in");
    for await (const _ of process.stdin) break;
    const { admin, drop } = await scratchDatabase();
    console.log((await admin\`select count(*) as n from live_coupons()\`)[0].n);
    await drop();
    process.exit();`;
  const command = [process.execPath, ...TYPESCRIPT, "--input-type=module", "-e", program];
  const run = sd([...MAIN, ...command], { dataDir, command: process.execPath });
  await said(run, /^in$/m);
  assert.deepEqual([run.stdout, run.stderr], ["in\n", ""]);
  return Object.assign(run, {
    async goOn() {
      run.child.stdin.end("go on\n");
      assert.equal(await ended(run), 0, run.stderr);
      assert.equal(run.stdout, "in\n0\n");
    },
  });
}

test("several runs at once share a server, and the last one out stops it", async () => {
  const dataDir = await newDataDir();
  const home = join(dataDir, "scratch");
  const short = (...options: string[]) =>
    runSd([...MAIN, ...options, "true"], { dataDir, command: process.execPath });
  const fsync = async () => {
    const { url } = await startEmbedded({ dataDir: home });
    return withConnection(url, (sql) => sql`show fsync`.then(([row]) => row?.["fsync"]));
  };
  const [first, second] = await Promise.all([sharer(dataDir), sharer(dataDir)]);
  await until(async () => (await fsync()) === "off");
  // Nobody else has a session meanwhile.
  assert.equal((await short("--durable")).status, 0);
  await until(async () => (await fsync()) === "on");
  assert.equal((await short()).status, 0);
  assert.equal(await fsync(), "on", "tests that come later leave it so");
  await first.goOn();
  assert.equal((await embeddedStatus({ dataDir: home })).running, true);
  const { url } = await startEmbedded({ dataDir: home });
  const left = await withConnection(url, (sql) =>
    sql`select from pg_database where datname like 'coupon\_%'`.then((all) => all.length),
  );
  assert.equal(left, 1, "the second one's template");
  await second.goOn();
  await nothingRuns(home);

  // Coming and going at the same time.
  const runs = await Promise.all([short(), short(), short()]);
  for (const { status, stderr } of runs) assert.deepEqual([status, stderr], [0, ""]);
  await nothingRuns(home);
});

for (const [given, message] of [
  [
    "postgres:14",
    "SCRATCH_SERVER_URL must be such as debian:15, npm:17 or postgres://…, of PostgreSQL 15 or newer",
  ],
  ["debian:14", "SCRATCH_SERVER_URL: PostgreSQL 14 is too old: 15 is the oldest that serves"],
  ["npm:14", "SCRATCH_SERVER_URL: npm has 15, 16, 17, such as npm:17, and 15 is the oldest that serves"],
  [
    "postgres://shop:secret@127.0.0.1:1/x",
    "no PostgreSQL answers at 127.0.0.1:1 (ECONNREFUSED): start it, or correct SCRATCH_SERVER_URL",
  ],
] as const)
  test(`a server for tests that cannot be had, ${given}: said by the name of its variable`, async () => {
    const env = { SCRATCH_SERVER_URL: given };
    const how = { dataDir: await newDataDir(), command: process.execPath, env };
    const { status, stderr } = await runSd([...MAIN, "true"], how);
    assert.deepEqual([status, stderr], [1, `sd: ${message}\n`]);
  });

test("a run that a signal ends leaves no database", async () => {
  const dataDir = await newDataDir();
  const program = `
    const { scratchDatabase } = await import("./bench/harness/scratch.ts");
    await scratchDatabase();
    console.log("in");
    setInterval(() => {}, 1000);`;
  const command = [process.execPath, ...TYPESCRIPT, "--input-type=module", "-e", program];
  const run = sd([...MAIN, ...command], { dataDir, command: process.execPath });
  await said(run, /^in$/m);
  signalGroup(run.child, "SIGINT");
  // The program gets SIGINT as one of the group, and SIGTERM from who started it. Of two that are pending Node.js tells either first.
  const status = await ended(run);
  assert.ok(status === 130 || status === 143, `${status}`);
  const home = join(dataDir, "scratch");
  await nothingRuns(home);
  atEnd(() => stopEmbedded({ dataDir: home }));
  const { url } = await startEmbedded({ dataDir: home });
  const left = await withConnection(
    url,
    (sql) => sql`select datname from pg_database where datname like 'coupon\\_%'`,
  );
  assert.deepEqual([...left], []);
});

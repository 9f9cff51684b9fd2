/** ./sd test says what happened, and ends with a status that is true. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { type TestContext, test } from "node:test";
import { TYPESCRIPT } from "../../server/typescript.ts";
import { until } from "./waiting.ts";

const IMPORTS = `import { after, before, beforeEach, describe, test } from "node:test";
import assert from "node:assert/strict";`;

/** Before a file prints something or ends its process: node passes on in its own time, some turns later, what came before. */
const LATER = "for (let i = 0; i < 100; i++) await new Promise((resolve) => setTimeout(resolve, 10));";

/** Starts a run of test files with these texts; NODE_TEST_CONTEXT would tell node that the runner is a test file itself. */
async function begin(t: TestContext, files: Record<string, string>, asked: string[] = Object.keys(files)) {
  const directory = await mkdtemp(join(tmpdir(), "runner-"));
  t.after(() => rm(directory, { recursive: true }));
  await writeFile(join(directory, "package.json"), '{ "type": "module" }');
  for (const [name, text] of Object.entries(files))
    await writeFile(join(directory, name), `${IMPORTS}\n${text}\n`);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const paths = asked.map((name) => join(directory, name));
  const runner = spawn(process.execPath, [...TYPESCRIPT, "bench/harness/runner.ts", ...paths], { env });
  const ended = async () => {
    const [said, complained, [status]] = await Promise.all([
      runner.stdout.toArray(),
      runner.stderr.toArray(),
      once(runner, "exit"),
    ]);
    return {
      status,
      said: said.join("").replaceAll(relative(process.cwd(), directory), "DIR"),
      complained: complained.join(""),
    };
  };
  return { directory, runner, ended: ended() };
}

const runOf = async (...given: Parameters<typeof begin>) => (await begin(...given)).ended;

/** Lines that must be there, in this order. */
function assertSays(said: string, ...lines: RegExp[]): void {
  let rest = said;
  for (const line of lines) {
    const found = rest.match(line);
    assert.ok(found?.index !== undefined, `${line} is not in:\n${rest}`);
    rest = rest.slice(found.index + found[0].length);
  }
}

test("all passed: status 0, and the counts alone on the last line", async (t) => {
  const { status, said } = await runOf(t, {
    "a.test.ts": 'test("one", () => {}); describe("some", () => { test("two", () => {}); });',
    "b.test.ts": 'test("three", () => {});',
  });
  assert.equal(status, 0);
  assertSays(said, /^1\/2 +\d+\.\d s {2}DIR\/a\.test\.ts\n2\/2 +\d+\.\d s {2}DIR\/b\.test\.ts$/m);
  assertSays(said, /^folder +files +passed +time$/m);
  assertSays(said, /^DIR +2 +3 +\d+\.\d s$/m, /\n3 passed, 0 failed, 0 skipped\n$/);
});

test("failures: each with its place, message and what its file printed; status 1", async (t) => {
  const { status, said } = await runOf(t, {
    "fails.test.ts": `describe("sums", () => { test("bad", () => {
      console.log("printed before");
      throw new Error("it is wrong", { cause: new Error("for a reason") });
    }); });`,
    "passes.test.ts": `${LATER} console.log("printed by one that passes"); test("good", () => {});`,
    "has-none.test.ts": "",
    "throws.test.ts": 'throw new Error("no file");',
    "ends.test.ts": `${LATER} console.error("why it ended"); ${LATER} process.exit(3);`,
    "comes-after.test.ts": 'test("never run", () => {});',
  });
  assert.equal(status, 1);
  assertSays(
    said,
    /^FAILED {2}DIR\/fails\.test\.ts › sums › bad\n {4}Error: it is wrong\n/m,
    /caused by Error: for a reason/,
  );
  assertSays(said, /^FAILED {2}DIR\/has-none\.test\.ts\n {4}There is no test in this file\./m);
  assertSays(said, /^FAILED {2}DIR\/throws\.test\.ts\n {4}Error: no file/m);
  assertSays(
    said,
    /^FAILED {2}DIR\/ends\.test\.ts\n {4}The process ended with exit status 3\.\n {4}why it ended/m,
    /^FAILED {2}DIR\/comes-after\.test\.ts\n {4}It did not run: the process had ended\./m,
  );
  assertSays(said, /^DIR\/fails\.test\.ts printed:\n {4}printed before$/m, /^failed:\n {2}DIR\/fails/m);
  assert.doesNotMatch(said, /printed by one that passes|node:internal/);
  assert.match(said, /\n1 passed, 5 failed, 0 skipped\n$/);
});

test("a failure that node cannot pass on as an error: what it says, too", async (t) => {
  const { status, said } = await runOf(t, {
    "compares.test.ts": 'test("bad", () => assert.deepEqual({ ran: () => 1 }, {}));',
  });
  assert.equal(status, 1);
  assertSays(said, /^FAILED {2}DIR\/compares\.test\.ts › bad\n.*strictly deep-equal/m, /ran: \[Function/);
  assert.match(said, /\n0 passed, 1 failed, 0 skipped\n$/);
});

test("files that share a process: hooks at the top of one are its own, and one that ends it early fails", async (t) => {
  const counting = (name: string) => `
    let ran = 0;
    const globals = globalThis as { open?: string };
    before(() => { assert.equal(globals.open, undefined); globals.open = "${name}"; });
    beforeEach(() => { ran++; });
    after(() => { assert.equal(ran, 2); delete globals.open; });
    for (const n of [1, 2]) test(\`\${n}\`, () => assert.equal(globals.open, "${name}"));`;
  const { status, said } = await runOf(t, {
    "a.test.ts": counting("a"),
    "b.test.ts": counting("b"),
    "c.test.ts": `describe("some", () => {
      test("good", () => {});
      test("the last", async () => { ${LATER} process.exit(0); });
    });`,
  });
  assertSays(
    said,
    /^FAILED {2}DIR\/c\.test\.ts\n {4}The process ended early\.\n {4}It was in: some › the last$/m,
  );
  assert.match(said, /\n5 passed, 1 failed, 0 skipped\n$/);
  assert.equal(status, 1);
});

test("skipped: why, and which; a suite counts, which node leaves out", async (t) => {
  const { status, said } = await runOf(t, {
    "a.test.ts": `test("good", () => {}); test("bare", { skip: true }, () => {});
      describe("pictures", { skip: "needs chromium" }, () => { test("one", () => {}); });`,
  });
  assert.equal(status, 0);
  assertSays(said, /^skipped: no reason is given\n {2}DIR\/a\.test\.ts › bare$/m);
  assertSays(said, /^skipped: needs chromium\n {2}DIR\/a\.test\.ts › pictures$/m);
  assert.match(said, /\n1 passed, 0 failed, 2 skipped\n$/);
});

test("nothing to run: status 1, and why", async (t) => {
  const skipped = await runOf(t, { "a.test.ts": 'test("bare", { skip: "needs a PostgreSQL" }, () => {});' });
  assert.equal(skipped.status, 1);
  assert.match(skipped.said, /\nNo test ran\.\n/);
  const away = await runOf(t, {}, ["nothing.test.ts"]);
  assert.equal(away.status, 1);
  assert.match(away.complained, /^sd: there is no test file or folder .*nothing\.test\.ts\n$/);
  const empty = await runOf(t, {}, ["."]);
  assert.deepEqual([empty.status, empty.complained], [1, "sd: there are no test files\n"]);
});

test("signals, as a group of processes gets them: what tests have started is ended first", async (t) => {
  const { directory, runner, ended } = await begin(t, {
    "hangs.test.ts": `
      import { renameSync, writeFileSync } from "node:fs";
      import { atEnd } from ${JSON.stringify(import.meta.resolve("./cleanup.ts"))};
      const file = (name) => new URL(name, import.meta.url);
      atEnd(async () => {
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        renameSync(file("begun"), file("ended"));
      });
      test("hangs", () => {
        writeFileSync(file("being made"), String(process.pid));
        renameSync(file("being made"), file("begun"));
        return new Promise((resolve) => setTimeout(resolve, 600_000));
      });`,
  });
  const isThere = async (name: string) => existsSync(join(directory, name));
  await until(() => isThere("begun"), "the test runs");
  const tests = Number(await readFile(join(directory, "begun"), "utf8"));
  process.kill(tests, "SIGTERM");
  for (const signal of ["SIGTERM", "SIGTERM"] as const) runner.kill(signal);
  const { status, complained } = await ended;
  assert.equal(status, 1);
  assert.match(complained, /^sd: stopped by a signal; not every test ran$/m);
  await until(() => isThere("ended"), "what was started is ended");
});

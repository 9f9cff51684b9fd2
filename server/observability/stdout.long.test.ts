import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { until } from "../../bench/harness/waiting.ts";
import { TYPESCRIPT } from "../typescript.ts";

/**
 * A process that logs 200 KB a turn, until its stdin ends; then one line more. On stderr it says when it first left lines out,
 * and at the end how many there were of either, and its memory in MB.
 */
const CHILD = `
  import { createLog } from "./server/observability/log.ts";
  const log = createLog("info");
  let ended = false, said = false, lines = 0;
  process.stdin.on("end", () => { ended = true; }).resume();
  const turn = () => {
    if (ended) {
      log.event("the last one");
      process.stderr.write(JSON.stringify({ lines, dropped: log.dropped(), mb: process.memoryUsage().rss / 2 ** 20 }) + "\\n");
      return process.exit();
    }
    for (let i = 0; i < 1_000; i++) log.event("x".repeat(200), { line: lines++ });
    if (!said && log.dropped() > 0) process.stderr.write("drops\\n");
    said = log.dropped() > 0;
    setImmediate(turn);
  };
  log.event("the first one");
  setImmediate(turn);
`;

/** A process that logs 100 lines, a turn each, and goes on until its stdin ends. */
const CALM = `
  import { createLog } from "./server/observability/log.ts";
  const log = createLog("info");
  for (let line = 0; line < 100; line++) {
    log.event("x".repeat(200), { line });
    await new Promise((resolve) => setImmediate(resolve));
  }
  process.stderr.write("logged\\n");
  process.stdin.on("end", () => process.exit()).resume();
`;

async function start(t: TestContext, program = CHILD, before: readonly string[] = []) {
  const [command = "", ...args] = [...before, process.execPath];
  const child = spawn(command, [...args, ...TYPESCRIPT, "--input-type=module", "-e", program]);
  t.after(() => child.kill("SIGKILL"));
  // Reads what fits into its buffer, and nothing is thrown away when the process ends before it is read.
  child.stdout.on("readable", () => {});
  const said = createInterface(child.stderr)[Symbol.asyncIterator]();
  const exited = once(child, "exit");
  return {
    child,
    exited,
    /** What it says next on stderr. */
    next: async () => String((await said.next()).value),
  };
}

test("stdout's reader goes away: the process goes on, and counts what it leaves out", async (t) => {
  const { child, exited, next } = await start(t);
  await once(child.stdout, "readable");
  child.stdout.destroy();
  assert.equal(await next(), "drops");
  child.stdin.end();
  const { lines, dropped } = JSON.parse(await next());
  assert.ok(dropped > 0 && dropped <= lines + 1, `${dropped} of ${lines}`);
  assert.deepEqual(await exited, [0, null]);
});

/** What is on stdout: the lines that are whole. */
async function* linesOf({ stdout }: Awaited<ReturnType<typeof start>>["child"]) {
  let text = "";
  for await (const chunk of stdout) {
    const lines = `${text}${chunk}`.split("\n");
    text = lines.pop() as string;
    yield* lines.map((line) => JSON.parse(line));
  }
}

test("stdout's reader stands still: memory stays flat, and the process can end", async (t) => {
  const { child, exited, next } = await start(t);
  assert.equal(await next(), "drops");
  child.stdin.end();
  const { lines, dropped, mb } = JSON.parse(await next());
  assert.deepEqual(await exited, [0, null]);
  let expected = 0;
  for await (const { line } of linesOf(child)) if (line !== undefined) assert.equal(line, expected++);
  assert.ok(expected > 0 && expected + dropped <= lines + 1, `${expected} and ${dropped} of ${lines}`);
  assert.ok(mb < 200, `${mb} MB`);
});

test("stdout's reader goes on after a while: a line says how many are missing, and where", async (t) => {
  const { child, next } = await start(t);
  assert.equal(await next(), "drops");
  let expected = 0;
  let left = 0;
  for await (const { message, line, count } of linesOf(child)) {
    if (message === "not logged") {
      expected += count;
      left += count;
    } else if (line !== undefined) {
      assert.equal(line, expected++);
      if (left > 0) break;
    }
  }
  assert.ok(left > 0);
});

test("stdout is a file on a full disk: the process goes on, and so does the log once there is room", async (t) => {
  const file = join(await temporaryDirectory(), "log");
  const most = 128;
  await writeFile(file, "x".repeat(512 * most - 2_000));
  // The signal is ignored, so that a write fails as one to a full disk does.
  const limited = `trap '' XFSZ; ulimit -f ${most}; exec "$0" "$@" >> '${file}'`;
  const { child, exited, next } = await start(t, CALM, ["sh", "-c", limited]);
  assert.equal(await next(), "logged");
  const whole = (text: string) => text.slice(text.indexOf("{")).split("\n").slice(0, -1).filter(Boolean);
  const before = whole(await readFile(file, "utf8")).map((line) => JSON.parse(line).line);
  await truncate(file);
  await until(async () => (await readFile(file, "utf8")).includes('"line":99}'), "the log goes on");
  const after = whole(await readFile(file, "utf8")).map((line) => JSON.parse(line).line);
  assert.ok(before.length > 0 && after.length > 0);
  // The one that met the end of the room may be cut off.
  const [first] = after;
  assert.ok(first - before.length <= 1, `${before.length} and then ${first}`);
  assert.deepEqual(
    after,
    Array.from({ length: 100 - first }, (_, i) => first + i),
  );
  child.stdin.end();
  assert.deepEqual(await exited, [0, null]);
});

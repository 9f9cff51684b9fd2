/** Which cores there are, and that a process keeps to the one that it is given. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { coresFor, coresOf, pin } from "./pinning.ts";

const options = {
  skip: existsSync("/usr/bin/taskset") ? false : "needs taskset (Debian package util-linux)",
};

test("coresFor: one each, and two are left to the others; or none", () => {
  assert.deepEqual(coresFor(4, "0-5"), [2, 3, 4, 5]);
  assert.deepEqual(coresFor(2, "0,2-3,7"), [3, 7]);
  for (const allowed of ["0-4", "0-1", "7", ""]) assert.deepEqual(coresFor(4, allowed), [], allowed);
});

/** Node.js has some threads from the start. */
async function startChild(t: TestContext): Promise<number> {
  const child = spawn(process.execPath, ["-e", "console.log(1); setInterval(() => {}, 1e6)"]);
  t.after(async () => {
    const ended = once(child, "exit");
    child.kill();
    await ended;
  });
  await once(child.stdout, "data");
  return child.pid as number;
}

test("pin: every thread of the process keeps to that core", options, async (t) => {
  const pid = await startChild(t);
  const core = Number((await coresOf("self")).match(/\d+$/)?.[0]);
  await pin(pid, core);
  const threads = await readdir(`/proc/${pid}/task`);
  assert.ok(threads.length > 1);
  for (const thread of threads) assert.equal(await coresOf(Number(thread)), `${core}`);
});

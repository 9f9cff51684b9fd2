/** Processes that are stopped. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { until } from "../harness/waiting.ts";
import { standStill, stateOf } from "./processes.ts";

test("a child that ends while its parent stands still has ended, although nobody takes note", async () => {
  const parent = spawn("sh", ["-c", "sleep 0 & exec sleep 600"], { stdio: "ignore" });
  await once(parent, "spawn");
  const pid = parent.pid as number;
  try {
    const childrenOf = () => readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
    await until(async () => (await childrenOf()).trim() !== "");
    const child = Number(await childrenOf());
    await until(async () => (await stateOf(child)) === undefined);
    assert.match(await readFile(`/proc/${child}/stat`, "utf8"), /\) Z /);
    await standStill([pid, child], async () => assert.equal(await stateOf(pid), "T"));
    assert.notEqual(await stateOf(pid), "T");
  } finally {
    parent.kill("SIGKILL");
    await once(parent, "exit");
  }
});

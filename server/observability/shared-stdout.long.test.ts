/** The log of several workers, whose stdout is one pipe. This file is the workers' program too. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import cluster from "node:cluster";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { TYPESCRIPT } from "../typescript.ts";
import { createStdout } from "./stdout.ts";

/** Of each worker: 6 MB. */
const LINES = 30_000;
const AT_ONCE = 1_000;

if (cluster.isWorker) logAll();
else
  test("lines of several workers do not mix", async (t) => {
    const primary = `
      import cluster from "node:cluster";
      cluster.setupPrimary(${JSON.stringify({ exec: import.meta.filename, execArgv: TYPESCRIPT })});
      cluster.fork();
      cluster.fork();
    `;
    const child = spawn(process.execPath, [...TYPESCRIPT, "--input-type=module", "-e", primary], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => child.kill("SIGKILL"));
    const next: Record<number, number> = {};
    let read = 0;
    for await (const text of createInterface({ input: child.stdout })) {
      const { pid, line } = JSON.parse(text);
      assert.equal(line, next[pid] ?? 0);
      next[pid] = line + 1;
      read += 1;
      if (read === 2 * LINES) break;
    }
    assert.deepEqual(Object.values(next), [LINES, LINES]);
  });

/** As many lines a turn as a burst makes; what finds no room is written in a later turn. */
function logAll(): void {
  const write = createStdout();
  const { pid } = process;
  let line = 0;
  const turn = () => {
    const end = Math.min(line + AT_ONCE, LINES);
    while (line < end && write(`${JSON.stringify({ pid, line, pad: "x".repeat(160) })}\n`)) line += 1;
    if (line < LINES) setImmediate(turn);
  };
  turn();
}

/** CPU time as it is divided, from made up snapshots and from a real process. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { between, hasProc, parentOf, type Snapshot, snapshot } from "./cpu.ts";

const usage = (command: string, own: number, ended = 0) => ({ parent: 1, own, ended, command });

test("what is mine by its command line, and all else; a new process counts from its birth", () => {
  const before: Snapshot = new Map([
    [1, usage("postmaster", 1)],
    [2, usage("backend", 10)],
  ]);
  const after: Snapshot = new Map([
    [1, usage("postmaster", 1.5)],
    [2, usage("backend", 14)],
    [3, usage("backend", 2)],
  ]);
  assert.deepEqual(
    between(before, after, (command) => command === "backend"),
    { mine: 6, others: 0.5 },
  );
});

test("what ended in between counts once, and only for what it used in between", () => {
  const before: Snapshot = new Map([
    [1, usage("postmaster", 1, 4)],
    [2, usage("worker", 10)],
  ]);
  // The worker used 3 more and ended; another one came, used 2 and ended.
  const after: Snapshot = new Map([[1, usage("postmaster", 1, 4 + 13 + 2)]]);
  assert.deepEqual(
    between(before, after, () => false),
    { mine: 0, others: 5 },
  );
});

test("a process that works, and its child that worked and ended", {
  skip: !hasProc && "needs /proc",
}, async (t) => {
  const work = "const end = process.cpuUsage().user + 300_000; while (process.cpuUsage().user < end);";
  const script = `require("node:child_process").spawnSync(process.execPath, ["-e", ${JSON.stringify(work)}]); ${work}
    console.log("done"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill());
  const pid = child.pid as number;
  assert.equal(await parentOf(pid), process.pid);
  await once(child.stdout, "data");
  const tree = await snapshot(pid);
  const { others } = between(new Map(), tree, () => false);
  // Two times 300 ms and what starting node takes, in steps of 10 ms.
  assert.ok(others >= 0.58 && others < 5, `${others} s`);
  const [own] = tree.values();
  assert.ok((own?.own ?? 0) >= 0.29 && (own?.ended ?? 0) >= 0.29, JSON.stringify(own));
});

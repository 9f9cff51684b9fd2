/** ./sd cluster where there is none, and what it refuses. server/commands/cluster.long.test.ts brings one up. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { printed } from "../../bench/harness/printed.ts";
import { layOut } from "../cluster/layout.ts";
import { findPrograms, missingPackages, type Programs } from "../cluster/packages.ts";
import { createProcesses } from "../cluster/processes.ts";
import { readEnv } from "../env.ts";
import { cluster } from "./cluster.ts";

let dataDir: string;
before(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "cluster-"));
});
after(() => rm(dataDir, { recursive: true }));

const env = () => readEnv({ DATA_DIR: dataDir }, "");

for (const args of [
  ["status", "n1"],
  ["start", "now"],
  ["stop", "n1"],
  ["switchover", "n4"],
  ["switchover", "s1"],
  ["switchover", "n1", "n2"],
  ["kill"],
  ["kill", "n4"],
  ["kill", "n1", "n2"],
  ["reset", "--no"],
  ["restart"],
  ["toString"],
])
  test(`${args.join(" ")}: is no subcommand`, async () => {
    await assert.rejects(cluster(env(), args), {
      message:
        "usage: ./sd cluster [start | status | switchover [n1 | n2 | n3] | kill (etcd | n1 | n2 | n3 | haproxy | s1 | s2) | stop | reset [--yes]]",
    });
  });

for (const args of [["status"], ["switchover"], ["kill", "n1"]])
  test(`${args[0]} where no cluster was made`, async () => {
    const message = `there is no cluster in ${dataDir}: ./sd cluster makes one`;
    await assert.rejects(cluster(env(), args), { message });
    assert.deepEqual(await readdir(dataDir), []);
  });

test("stop and reset where no cluster was made", async (t) => {
  assert.deepEqual(await printed(t, () => cluster(env(), ["stop"])), ["nothing was running"]);
  const removed = [`removed the cluster in ${dataDir}`];
  assert.deepEqual(await printed(t, () => cluster(env(), ["reset", "--yes"])), removed);
});

test("stop ends a server whatever Node.js and checkout run it", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "cluster-"));
  t.after(() => rm(root, { recursive: true }));
  const layout = await layOut(root, () => {});
  const file = join(root, "s1.env");
  await writeFile(file, "");
  const main = ["-e", "console.log('up'); setInterval(() => {}, 1e9)"];
  const server = spawn(process.execPath, ["--no-warnings", `--env-file=${file}`, ...main]);
  t.after(() => server.kill());
  const ended = once(server, "exit");
  await once(server.stdout, "data");
  const processes = createProcesses(layout, {} as Programs);
  assert.deepEqual([await processes.isRunning("s1"), await processes.isRunning("s2")], [true, false]);
  assert.equal(await processes.end("s1"), true);
  assert.deepEqual(await ended, [null, "SIGTERM"]);
});

test("packages that are missing are named with the line that installs them", () => {
  const missing = missingPackages([
    ["patroni", () => "/nowhere/patroni"],
    ["haproxy", () => process.execPath],
    ["postgresql", () => undefined],
  ]);
  assert.throws(() => findPrograms(missing), {
    message:
      "the cluster needs patroni, postgresql. On Debian, as root: apt-get install -y patroni postgresql",
  });
});

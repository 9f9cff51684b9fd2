/** ./sd cluster where there is none, and what it refuses. server/commands/cluster.long.test.ts brings one up. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { printed } from "../../bench/harness/printed.ts";
import { findPrograms, missingPackages } from "../cluster/packages.ts";
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

/** What is told when a cluster is not as a fault needs it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Cluster } from "../../../server/cluster/cluster.ts";
import { CLUSTER_LENGTHS, clusterCampaign } from "./campaign.ts";
import { clusterFaults, faultNamed } from "./kinds.ts";
import { untilWhole } from "./nodes.ts";

const clusterOf = (nodes: () => Promise<unknown>) => ({ nodes }) as unknown as Cluster;

test("who waits in vain is told what was wanted, and what is", async () => {
  const cluster = clusterOf(async () => [{ role: "leader" }, { role: "standby" }, { role: "down" }]);
  await assert.rejects(untilWhole(cluster, true, 0), {
    message:
      "the cluster: waited 0 s in vain for nodes that are leader, standby, synchronous; now they are down, leader, standby",
  });
});

test("a standby on the timeline of before does not make a cluster whole", async () => {
  const cluster = clusterOf(async () => [
    { role: "leader", timeline: 2 },
    { role: "standby", timeline: 1 },
    { role: "synchronous", timeline: 2 },
  ]);
  await assert.rejects(untilWhole(cluster, true, 0), {
    message:
      "the cluster: waited 0 s in vain for nodes that are leader, standby, synchronous; now they are leader, standby on timeline 1, synchronous",
  });
});

test("a leader that was cut off and asked nothing by the others was not", async () => {
  const cluster = clusterOf(async () => [
    { node: "n1", role: "leader" },
    { node: "n2", role: "leader" },
  ]);
  const ways = {
    cut: async () => async () => {
      throw new Error("nothing was lost");
    },
    heal: async () => {},
  };
  const stage = { cluster, ways } as unknown as Parameters<(typeof clusterFaults)[number]["strike"]>[0];
  await assert.rejects(faultNamed("leader cut off").strike(stage), { message: "nothing was lost" });
});

test("ways that were cut carry again when the cut fails", async () => {
  const leaderCutOff = clusterFaults.find(({ name }) => name === "leader cut off");
  const called: string[] = [];
  const ways = {
    cut: async () => {
      called.push("cut");
      throw new Error("the cut failed");
    },
    heal: async () => void called.push("heal"),
  };
  const cluster = clusterOf(async () => [{ node: "n1", role: "leader" }]);
  const stage = { cluster, ways } as unknown as Parameters<NonNullable<typeof leaderCutOff>["strike"]>[0];
  await assert.rejects(async () => leaderCutOff?.strike(stage), { message: "the cut failed" });
  assert.deepEqual(called, ["cut", "heal"]);
});

test("a fault that fails ends the campaign, and what was found before is returned", async () => {
  const failure = new Error("no node answers");
  const cluster = clusterOf(() => Promise.reject(failure));
  const said: string[] = [];
  const found = await clusterCampaign(
    cluster,
    new Set(["switchover", "leader killed"]),
    1,
    CLUSTER_LENGTHS.short,
    (line) => said.push(line),
  );
  assert.equal(found.failure, failure);
  assert.deepEqual(found.rows, []);
  assert.deepEqual(said, ["switchover: could not be run: no node answers"]);
});

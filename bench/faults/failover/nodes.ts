/** The nodes of a cluster, as faults find and wait for them. */
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Cluster } from "../../../server/cluster/cluster.ts";
import { NODES, type Node } from "../../../server/cluster/layout.ts";
import { leaderOf, synchronousOf } from "../../../server/cluster/patroni.ts";
import { childrenOf } from "../../../server/cluster/processes.ts";
import { standStill, stateOf } from "../processes.ts";

/** Far more than a busy machine needs. */
const PATIENCE_MS = 180_000;
const LOOK_MS = 100;

async function until(
  what: string,
  isSo: () => Promise<boolean>,
  patienceMs = PATIENCE_MS,
  now = () => "",
): Promise<void> {
  for (const deadline = performance.now() + patienceMs; ; await sleep(LOOK_MS)) {
    if (await isSo()) return;
    if (performance.now() > deadline)
      throw new Error(`the cluster: waited ${patienceMs / 1000} s in vain for ${what}${now()}`);
  }
}

/**
 * Waits until one node leads and both others follow it, one of them as the standby that commits wait for, unless they wait for none. One on the
 * timeline of before only receives what the leader had from there, and may have to go back behind it by pg_rewind.
 */
export async function untilWhole(
  cluster: Cluster,
  isSynchronous = true,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const wanted = isSynchronous ? "leader, standby, synchronous" : "leader, standby, standby";
  let seen = "";
  const isSo = async () => {
    const states = await cluster.nodes();
    const { timeline: led } = states.find(({ role }) => role === "leader") ?? {};
    seen = states
      .map(({ role, timeline }) => (timeline === led ? role : `${role} on timeline ${timeline}`))
      .sort()
      .join(", ");
    return seen === wanted;
  };
  await until(`nodes that are ${wanted}`, isSo, patienceMs, () => `; now they are ${seen}`);
}

/** Waits until a node leads, another one than this. */
export async function untilLeads(cluster: Cluster, other: Node): Promise<void> {
  await until(`another leader than ${other}`, async () => {
    const leader = leaderOf((await cluster.nodes()).filter(({ node }) => node !== other));
    return leader !== undefined;
  });
}

export async function untilNobodyLeads(cluster: Cluster): Promise<void> {
  await until("no leader", async () => leaderOf(await cluster.nodes()) === undefined);
}

export interface Roles {
  leader: Node;
  /** The one that commits wait for, else any. */
  synchronous: Node;
  standbys: Node[];
}

export async function rolesOf(cluster: Cluster): Promise<Roles> {
  const states = await cluster.nodes();
  const leader = leaderOf(states);
  const standbys = NODES.filter((node) => node !== leader);
  if (leader === undefined) throw new Error("no node leads");
  return { leader, synchronous: synchronousOf(states) ?? (standbys[0] as Node), standbys };
}

/** The ids of a node's PostgreSQL, all that the postmaster has started included. */
export async function postgresOf(cluster: Cluster, node: Node): Promise<number[]> {
  const { postgres } = await cluster.pids(node);
  return [...postgres, ...(await childrenOf(postgres))];
}

/** Waits until all of them have ended. */
export async function untilEnded(pids: readonly number[]): Promise<void> {
  await until(`${pids.join(", ")} have ended`, async () => {
    const states = await Promise.all(pids.map(stateOf));
    return states.every((state) => state === undefined);
  });
}

/** While `work` runs, these standbys receive nothing: the process that receives their WAL stands still, and nobody notices. */
export async function withoutWal(
  cluster: Cluster,
  standbys: readonly Node[],
  work: () => Promise<void>,
): Promise<void> {
  const receivers: number[] = [];
  for (const node of standbys) {
    const pids = await postgresOf(cluster, node);
    const titles = await Promise.all(
      pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")),
    );
    receivers.push(...pids.filter((_, i) => titles[i]?.includes("walreceiver")));
  }
  if (receivers.length !== standbys.length)
    throw new Error(`${receivers.length} of ${standbys.length} standbys receive WAL`);
  await standStill(receivers, work);
}

/**
 * Ways between nodes that can be cut: each node reaches etcd by a proxy, and the others reach its PostgreSQL and its Patroni by two more.
 * HAProxy and the clients behind it have ways of their own, so that whoever is cut off from the other nodes is not cut off from them.
 */
import { chown, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Cluster } from "../../../server/cluster/cluster.ts";
import { NODES, type Node } from "../../../server/cluster/layout.ts";
import { signal } from "../../../server/cluster/processes.ts";
import { untilSeen } from "../seen.ts";
import { startCarrier, type Way } from "./carrier.ts";
import { untilEnded, untilWhole } from "./nodes.ts";

export interface Ways {
  /**
   * Nothing arrives at the node from etcd and from the other nodes, nor the other way round, and nobody is told. Returns what throws unless
   * something has been lost on each way since.
   */
  cut(node: Node): Promise<() => Promise<void>>;
  /** All ways carry again. What was cut stays dead, until whoever uses it connects anew. */
  heal(): Promise<void>;
  /** The nodes reach one another directly again. */
  close(): Promise<void>;
}

/** Where patroni.yml names the address by which a node reaches another, or is reached. */
const ADDRESSES = {
  etcd: /(?<=^etcd:\n {2}hosts: 127\.0\.0\.1:)\d+/m,
  patroni: /(?<=^restapi:\n {2}listen: .*\n {2}connect_address: 127\.0\.0\.1:)\d+/m,
  postgres: /(?<=^postgresql:\n {2}listen: .*\n {2}connect_address: 127\.0\.0\.1:)\d+/m,
};
type Place = keyof typeof ADDRESSES;
const PLACES = ["etcd", "patroni", "postgres"] as const satisfies readonly Place[];

export async function openWays(cluster: Cluster): Promise<Ways> {
  const carrier = startCarrier();
  const ways = new Map<Node, Record<Place, Way>>();
  const originals = new Map<Node, string>();
  for (const node of NODES) {
    const original = await readFile(fileOf(cluster, node), "utf8");
    const open = async (place: Place) => {
      const [port] = original.match(ADDRESSES[place]) ?? [];
      if (port === undefined) throw new Error(`${node}.yml names no address of ${place}`);
      return carrier.open(Number(port));
    };
    const its = {
      etcd: await open("etcd"),
      patroni: await open("patroni"),
      postgres: await open("postgres"),
    };
    ways.set(node, its);
    originals.set(node, original);
    const changed = PLACES.reduce(
      (text, place) => text.replace(ADDRESSES[place], `${its[place].port}`),
      original,
    )
      // Otherwise Patroni takes the address that etcd says of itself.
      .replace(/^etcd:\n/m, "etcd:\n  use_proxies: true\n");
    await restartPatroni(cluster, node, changed);
  }
  return {
    async cut(node) {
      const its = ways.get(node) as Record<Place, Way>;
      await untilSeen(
        `${node}'s standbys come by the proxy`,
        async () => (await its.postgres.count()).connections >= 2,
      );
      const lost = async (place: Place) => (await its[place].count()).met;
      const before = new Map<Place, number>();
      for (const place of PLACES) {
        before.set(place, await lost(place));
        await its[place].set({ is: "silent" });
      }
      const isLost = async (place: Place) => (await lost(place)) > (before.get(place) as number);
      for (const place of ["etcd", "postgres"] as const)
        await untilSeen(`something that was lost between ${node} and others on the way to ${place}`, () =>
          isLost(place),
        );
      return async () => {
        for (const place of PLACES)
          if (!(await isLost(place))) throw new Error(`the fault did nothing: nothing was lost to ${place}`);
      };
    },
    async heal() {
      for (const its of ways.values()) for (const way of Object.values(its)) await way.set({ is: "pass" });
    },
    async close() {
      for (const [node, original] of originals) await restartPatroni(cluster, node, original);
      await carrier.close();
      await untilWhole(cluster);
    },
  };
}

const fileOf = ({ directory }: Cluster, node: Node) => join(directory, `${node}.yml`);

/** With another configuration. PostgreSQL goes on meanwhile, and so does whoever leads. */
async function restartPatroni(cluster: Cluster, node: Node, text: string): Promise<void> {
  const file = fileOf(cluster, node);
  const { uid, gid } = await stat(file);
  await writeFile(file, text);
  await chown(file, uid, gid);
  const { own } = await cluster.pids(node);
  signal(own, "SIGKILL");
  await untilEnded(own);
  await cluster.launch(node);
  await untilWhole(cluster);
}

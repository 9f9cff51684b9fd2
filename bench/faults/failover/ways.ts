/**
 * Ways between nodes that can be cut: each node reaches etcd by a proxy, and the others reach its PostgreSQL and its Patroni by two more.
 * HAProxy and the clients behind it have ways of their own, so that whoever is cut off from the other nodes is not cut off from them.
 */
import { chown, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Cluster } from "../../../server/cluster/cluster.ts";
import { NODES, type Node } from "../../../server/cluster/layout.ts";
import { signal } from "../processes.ts";
import { openProxy, type TcpProxy } from "../proxy.ts";
import { untilSeen } from "../seen.ts";
import { untilEnded, untilWhole } from "./nodes.ts";

export interface Ways {
  /** Nothing arrives at the node from etcd and from the other nodes, nor the other way round, and nobody is told. */
  cut(node: Node): Promise<void>;
  /** All ways carry again. What was cut stays dead, until whoever uses it connects anew. */
  heal(): void;
  /** The nodes reach one another directly again. */
  close(): Promise<void>;
}

/** Where patroni.yml names the address by which a node reaches another, or is reached. */
const ADDRESSES = {
  etcd: /(?<=^etcd:\n {2}hosts: 127\.0\.0\.1:)\d+/m,
  patroni: /(?<=^restapi:\n {2}listen: .*\n {2}connect_address: 127\.0\.0\.1:)\d+/m,
  postgres: /(?<=^postgresql:\n {2}listen: .*\n {2}connect_address: 127\.0\.0\.1:)\d+/m,
};

export async function openWays(cluster: Cluster): Promise<Ways> {
  const proxies = new Map<Node, Record<keyof typeof ADDRESSES, TcpProxy>>();
  const originals = new Map<Node, string>();
  for (const node of NODES) {
    const original = await readFile(fileOf(cluster, node), "utf8");
    const open = async (name: keyof typeof ADDRESSES) => {
      const [port] = original.match(ADDRESSES[name]) ?? [];
      if (port === undefined) throw new Error(`${node}.yml names no address of ${name}`);
      return openProxy(`http://127.0.0.1:${port}`);
    };
    const its = {
      etcd: await open("etcd"),
      patroni: await open("patroni"),
      postgres: await open("postgres"),
    };
    proxies.set(node, its);
    originals.set(node, original);
    const portOf = ({ url }: TcpProxy) => new URL(url).port;
    const changed = Object.entries(its)
      .reduce(
        (text, [name, proxy]) => text.replace(ADDRESSES[name as keyof typeof ADDRESSES], portOf(proxy)),
        original,
      )
      // Otherwise Patroni takes the address that etcd says of itself.
      .replace(/^etcd:\n/m, "etcd:\n  use_proxies: true\n");
    await restartPatroni(cluster, node, changed);
  }
  const all = () => [...proxies.values()].flatMap((its) => Object.values(its));
  return {
    async cut(node) {
      const its = Object.values(proxies.get(node) ?? {});
      await untilSeen(
        `${node}'s standbys come by the proxy`,
        () => (proxies.get(node)?.postgres.connections ?? 0) >= 2,
      );
      const before = its.map(({ met }) => met);
      for (const proxy of its) proxy.mode = { is: "silent" };
      await untilSeen("something that was lost on each way", () =>
        its.every(({ met }, i) => met > (before[i] ?? 0)),
      );
    },
    heal() {
      for (const proxy of all()) proxy.mode = { is: "pass" };
    },
    async close() {
      for (const [node, original] of originals) await restartPatroni(cluster, node, original);
      for (const proxy of all()) await proxy.close();
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

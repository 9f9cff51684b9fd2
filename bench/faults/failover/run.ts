/** ./sd faults --cluster: a cluster of its own, its faults, the planted bugs, and the results. */
import { removeCluster, startCluster } from "../../../server/cluster/cluster.ts";
import { missingPackages } from "../../../server/cluster/packages.ts";
import { atEnd } from "../../harness/cleanup.ts";
import { machine } from "../../harness/machine.ts";
import { newSecret } from "../../harness/service.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { CLUSTER_LENGTHS, clusterCampaign, clusterNames } from "./campaign.ts";
import { type ClusterResults, keepClusterResults, missedBars, renderClusterRows } from "./report.ts";

interface ClusterRun {
  /** Faults by name; all if there are none. */
  given: readonly string[];
  length: ClusterResults["length"];
  seed: number;
}

/** Returns whether nothing is wrong. A bar on time that is missed is told, and wrong it is not: it depends on the machine. */
export async function runCluster(
  { given, length, seed }: ClusterRun,
  say: (line: string) => void,
): Promise<boolean> {
  const missing = missingPackages();
  if (missing.length > 0) {
    console.log(`skipped: needs ${missing.join(", ")}`);
    return true;
  }
  const began = performance.now();
  const date = new Date().toISOString();
  const dataDir = await temporaryDirectory();
  const end = atEnd(() => removeCluster({ dataDir }));
  try {
    say("starting etcd, three nodes, HAProxy and two servers");
    const cluster = await startCluster({ dataDir, keys: { JWT_SECRET: newSecret() } });
    const wanted = new Set(given.length > 0 ? given : clusterNames);
    const found = await clusterCampaign(cluster, wanted, seed, CLUSTER_LENGTHS[length], say);
    const seconds = Math.round((performance.now() - began) / 1_000);
    console.log(`\n${renderClusterRows(found.rows)}\n`);
    for (const line of missedBars(found.rows)) console.log(`missed: ${line}`);
    const { violations, failure, ...results } = found;
    if (failure !== undefined) throw failure;
    if (violations.length > 0) console.log(`WRONG: ${violations.length} violations; nothing was kept`);
    else if (length === "short" || given.length > 0)
      console.log("nothing is wrong; not kept, as only a run of all faults is, the usual or the long one");
    else {
      const { url } = cluster.target;
      keepClusterResults({ date, seed, seconds, length, machine: await machine(url), ...results });
      console.log("nothing is wrong; kept in bench/faults/failover/results.json, and the README follows it");
    }
    return violations.length === 0;
  } finally {
    await end();
  }
}

/** The faults of a cluster, in the order in which they are run and shown. */
import { setTimeout as sleep } from "node:timers/promises";
import { withConnection } from "../../../db/connect.ts";
import type { Cluster } from "../../../server/cluster/cluster.ts";
import type { Node } from "../../../server/cluster/layout.ts";
import { signal } from "../../../server/cluster/processes.ts";
import { standStill } from "../processes.ts";
import { untilSeen } from "../seen.ts";
import { type ClusterFault, GIVEN_UP, READY, SILENT, type Stage, TTL } from "./fault.ts";
import {
  postgresOf,
  rolesOf,
  untilEnded,
  untilLeads,
  untilNobodyLeads,
  untilWhole,
  withoutWal,
} from "./nodes.ts";
import { openWays } from "./ways.ts";

/** How long the waits for the standby are ended by hand, ms: those who were told so ask again meanwhile. */
const ENDING_MS = 4_000;
/** Then nobody ends any, ms: a server tells those as unknown, too, who are answered beside a wait that is ended. */
const QUIET_MS = 2_000;
/** A busy machine takes longer for it than a leader waits, s. Who has given up both standbys lets nobody take its place. */
const PATIENT = 60;
/** Users of a coupon of their own, who do so at once. */
const REPLAYS = 10;

const switchover: ClusterFault = {
  name: "switchover",
  about: "the leader's Patroni is restarted in order, so that the synchronous standby becomes the leader",
  seen: "the other node leads, and a commit waits for a standby again",
  gap: 3,
  async strike({ cluster }) {
    await cluster.switchover();
    await untilWhole(cluster);
  },
};

const leaderKilled: ClusterFault = {
  name: "leader killed",
  about: "kill -9 of the leader's Patroni and PostgreSQL; started again once another node leads",
  seen: "another node leads",
  gap: TTL + 3,
  async strike({ cluster }) {
    const { leader } = await rolesOf(cluster);
    await cluster.kill(leader);
    await untilLeads(cluster, leader);
    await cluster.launch(leader);
    await untilWhole(cluster);
  },
};

const leaderStopped: ClusterFault = {
  name: "leader stopped",
  about: "SIGSTOP of the leader's Patroni and PostgreSQL, and SIGCONT once another node leads",
  seen: "the kernel says that all its processes are stopped, and another node leads",
  gap: TTL + SILENT + 3,
  async strike({ cluster }) {
    const { leader } = await rolesOf(cluster);
    await stopNode(cluster, leader, () => untilLeads(cluster, leader));
    await untilWhole(cluster);
  },
};

async function stopNode(cluster: Cluster, node: Node, meanwhile: () => Promise<void>): Promise<void> {
  const { own } = await cluster.pids(node);
  // Patroni first, or it would start PostgreSQL anew.
  await standStill([...own, ...(await postgresOf(cluster, node))], meanwhile);
}

const leaderCutOff: ClusterFault = {
  name: "leader cut off",
  about:
    "the leader reaches neither etcd nor the other nodes, and clients reach it, until another node leads; every way between nodes is a proxy of ours",
  seen: "something is lost on each of its ways, and another node leads",
  gap: TTL + SILENT + 3,
  prepare: openWays,
  async strike({ cluster, ways }) {
    const { leader } = await rolesOf(cluster);
    if (ways === undefined) throw new Error("no way can be cut");
    try {
      const checkLost = await ways.cut(leader);
      // Only now do the others ask the leader's Patroni how it is.
      await untilLeads(cluster, leader);
      await checkLost();
    } finally {
      await ways.heal();
    }
    await untilWhole(cluster);
  },
};

const postgresKilled: ClusterFault = {
  name: "PostgreSQL killed",
  about: "kill -9 of the leader's PostgreSQL, and not of its Patroni",
  seen: "all its processes have ended",
  async strike({ cluster }) {
    const { leader } = await rolesOf(cluster);
    const pids = await postgresOf(cluster, leader);
    signal(pids, "SIGKILL");
    await untilEnded(pids);
    await untilWhole(cluster);
  },
};

const standbyKilled: ClusterFault = {
  name: "standby killed",
  about: "kill -9 of the standby that commits wait for; started again when another one has taken its place",
  seen: "its processes have ended, and a commit waits for the other one",
  gap: 1,
  async strike({ cluster }) {
    const { synchronous } = await rolesOf(cluster);
    await cluster.kill(synchronous);
    await untilReplaced(cluster, synchronous);
    await cluster.launch(synchronous);
    await untilWhole(cluster);
  },
};

const standbyStopped: ClusterFault = {
  name: "standby stopped",
  about:
    "SIGSTOP of Patroni and PostgreSQL of the standby that commits wait for, whose connections stay open as those of a machine without power; " +
    "SIGCONT once another one has taken its place",
  seen: "the kernel says that all its processes are stopped, and a commit waits for the other one",
  gap: GIVEN_UP + 2,
  async strike({ cluster }) {
    const { synchronous } = await rolesOf(cluster);
    await stopNode(cluster, synchronous, () => untilReplaced(cluster, synchronous));
    await untilWhole(cluster);
  },
};

/** Waits until commits wait for another standby than this. */
function untilReplaced(cluster: Cluster, standby: Node): Promise<void> {
  return untilSeen("another synchronous standby", async () => {
    const states = await cluster.nodes();
    return states.some(({ node, role }) => role === "synchronous" && node !== standby);
  });
}

const standbysKilled: ClusterFault = {
  name: "both standbys killed",
  about: "kill -9 of both standbys for 10 to 25 s, so that nothing can commit meanwhile",
  seen: "their processes have ended",
  async strike({ cluster, hold }) {
    const { standbys } = await rolesOf(cluster);
    for (const node of standbys) await cluster.kill(node);
    await hold(10_000, 25_000);
    for (const node of standbys) await cluster.launch(node);
    await untilWhole(cluster);
  },
};

const etcdAway: ClusterFault = {
  name: "etcd away",
  about: "kill -9 of etcd until nobody leads, and for 5 to 10 s more",
  seen: "nobody leads",
  async strike({ cluster, hold }) {
    await cluster.kill("etcd");
    await untilNobodyLeads(cluster);
    await hold(5_000, 10_000);
    await cluster.launch("etcd");
    await untilWhole(cluster);
  },
};

const waitsEnded: ClusterFault = {
  name: "waits ended",
  about:
    "both standbys receive nothing, and every server's session that waits for them is cancelled or terminated by turns, for 4 s; 2 s later " +
    "the leader dies, with what only it had",
  seen: "sessions were cancelled and terminated while they waited, and another node leads",
  gap: TTL + 3 + (ENDING_MS + QUIET_MS) / 1_000,
  // Before that, no wait lasts long enough to be seen.
  ready: ENDING_MS / 1_000 + READY,
  async strike({ cluster, insist, own }) {
    const { leader, standbys } = await rolesOf(cluster);
    await giveUpAfter(cluster, PATIENT);
    let asking: Promise<unknown> | undefined;
    await withoutWal(cluster, standbys, async () => {
      // Once they are issued, all that they ask is a replay, in which nobody else writes.
      const asks = own
        .takeUsers(REPLAYS)
        .map((user) => ({ kind: "issue", coupon: own.coupon, user }) as const);
      asking = Promise.all(asks.map((ask, i) => insist(ask, i % 2)));
      await endWaits(cluster);
      await sleep(QUIET_MS);
      await loseWhatStandbysLack(cluster, leader, standbys);
    });
    await backAfter(cluster, leader);
    await asking;
    await giveUpAfter(cluster, GIVEN_UP);
  },
};

/** Has leaders wait so long, s, for a standby that says nothing. */
async function giveUpAfter(cluster: Cluster, seconds: number): Promise<void> {
  await cluster.configure({ postgresql: { parameters: { wal_sender_timeout: `${seconds}s` } } });
  await untilSeen(`wal_sender_timeout of ${seconds} s`, () =>
    withConnection(cluster.superuser, async (sql) => {
      const [row] = await sql`select setting from pg_settings where name = 'wal_sender_timeout'`;
      return Number(row?.["setting"]) === seconds * 1_000;
    }),
  );
}

/** Cancels and terminates sessions of servers that wait for a standby, by turns. */
async function endWaits({ superuser }: Cluster): Promise<void> {
  await withConnection(superuser, async (sql) => {
    const ended = { pg_cancel_backend: 0, pg_terminate_backend: 0 };
    const end = async (by: keyof typeof ended) => {
      const found = await sql`
        select ${sql.unsafe(by)}(pid) from pg_stat_activity where wait_event = 'SyncRep' and usename = 'coupon_api'`;
      ended[by] += found.count;
    };
    const enough = performance.now() + ENDING_MS;
    await untilSeen(
      "a session that was cancelled, and one that was terminated, while it waited",
      async () => {
        await end("pg_cancel_backend");
        await end("pg_terminate_backend");
        return performance.now() > enough && Object.values(ended).every((times) => times > 0);
      },
    );
  });
}

/** The leader dies; its standbys too, with all that was on its way to them. Patroni starts these again. */
async function loseWhatStandbysLack(
  cluster: Cluster,
  leader: Node,
  standbys: readonly Node[],
): Promise<void> {
  await cluster.kill(leader);
  for (const node of standbys) {
    const pids = await postgresOf(cluster, node);
    signal(pids, "SIGKILL");
    await untilEnded(pids);
  }
}

async function backAfter(cluster: Cluster, leader: Node, isSynchronous = true): Promise<void> {
  await untilLeads(cluster, leader);
  await cluster.launch(leader);
  await untilWhole(cluster, isSynchronous);
}

const rollingRestart: ClusterFault = {
  name: "rolling restart",
  about:
    "every node and every server is restarted, one after the other; the leader last of the nodes, by a switchover",
  seen: "each has ended in order, and is back before the next one",
  gap: 3,
  async strike(stage) {
    const { standbys } = await rolesOf(stage.cluster);
    for (const node of standbys) await restart(stage.cluster, node);
    await stage.cluster.switchover();
    await untilWhole(stage.cluster);
    await restartServers(stage);
  },
};

async function restart(cluster: Cluster, node: Node): Promise<void> {
  await cluster.end(node);
  await cluster.launch(node);
  await untilWhole(cluster);
}

async function restartServers({ servers, startServer }: Stage): Promise<void> {
  for (const [i, server] of servers.entries()) {
    await server.stop();
    servers[i] = await startServer(server.port);
  }
}

const upgrade: ClusterFault = {
  name: "minor upgrade",
  about:
    "a node is upgraded as one would: the leader hands over, ends, and starts again; to the same version, since only one is installed",
  seen: "its processes have ended, and it follows the new leader",
  gap: 3,
  async strike({ cluster }) {
    const { from } = await cluster.switchover();
    await restart(cluster, from);
  },
};

const asynchronous: ClusterFault = {
  name: "asynchronous",
  about:
    "the control: commits wait for nobody, both standbys receive nothing while a coupon is issued, and the leader dies: what was " +
    "acknowledged must be found lost",
  seen: "the coupon was sold out, another node leads, and the coupon was issued again",
  isControl: true,
  async strike({ cluster, insist, own }) {
    const { leader, standbys } = await rolesOf(cluster);
    const askAll = async () => {
      const users = own.takeUsers(3 * own.count);
      const asks = users.map((user) => ({ kind: "issue", coupon: own.coupon, user }) as const);
      const answers = await Promise.all(asks.map((ask, i) => insist(ask, i % 2)));
      const granted = answers.filter(({ is }) => is === "ok").length;
      if (granted !== own.count) throw new Error(`${granted} of ${own.count} units were granted`);
      // Who holds it is told so, by whichever server, whatever it knew before.
      for (const server of [1, 0, 1, 0, 1, 0]) await Promise.all(asks.map((ask) => insist(ask, server)));
    };
    await withoutWal(cluster, standbys, async () => {
      await askAll();
      await loseWhatStandbysLack(cluster, leader, standbys);
    });
    await backAfter(cluster, leader, false);
    await askAll();
  },
};

export const clusterFaults: readonly ClusterFault[] = [
  ...[
    switchover,
    leaderKilled,
    leaderStopped,
    leaderCutOff,
    postgresKilled,
    standbyKilled,
    standbyStopped,
    standbysKilled,
    etcdAway,
  ],
  ...[waitsEnded, rollingRestart, upgrade, asynchronous],
];

export const faultNamed = (name: string): ClusterFault => {
  const found = clusterFaults.find((fault) => fault.name === name);
  if (!found) throw new Error(`no such fault of the cluster: ${name}`);
  return found;
};

/**
 * One fault of a cluster, under the load and before the checker of all faults: clients ask through HAProxy, and what they were told is held
 * against the rows of whichever node leads in the end.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { withConnection } from "../../../db/connect.ts";
import type { Cluster } from "../../../server/cluster/cluster.ts";
import { SERVERS } from "../../../server/cluster/layout.ts";
import { withCleanup } from "../../harness/cleanup.ts";
import { makeCoupon } from "../../harness/coupons.ts";
import { newSecret } from "../../harness/service.ts";
import { watchStalls } from "../../harness/stalls.ts";
import { createRandom } from "../../harness/stats.ts";
import { addUsers, emptyTables } from "../../harness/tables.ts";
import { wellness } from "../assault.ts";
import { check, type Verdict } from "../checker/check.ts";
import { createClient, tokensOf } from "../client.ts";
import { type Server, startServer } from "../ground.ts";
import type { FinalState, History } from "../history.ts";
import { startLives } from "../lives.ts";
import { startLoad } from "../load.ts";
import { untilSeen } from "../seen.ts";
import { fillStock, historyOf, readState, type Stock } from "../state.ts";
import type { ClusterFault, Stage } from "./fault.ts";
import { type Figures, figuresOf } from "./figures.ts";
import { untilWhole } from "./nodes.ts";
import { startStream } from "./stream.ts";
import { startWatch } from "./watch.ts";

interface SiegeOptions {
  seed: number;
  strokes: number;
  /** Whether what a fault holds on to lasts a quarter as long. */
  isShort: boolean;
  /** Changes the service before it serves. */
  plant?: ((cluster: Cluster) => Promise<Planted>) | undefined;
}

export interface Planted {
  /** The server that runs instead of ours. */
  main?: string;
  /** Takes back what was changed. */
  end(): Promise<unknown>;
}

export interface Siege {
  verdict: Verdict;
  history: History;
  state: FinalState;
  figures: Figures;
}

type Later = (end: () => Promise<unknown>) => void;

/** Besides the stream of new users: those who ask again, use, restock and hang up. */
const CLIENTS = 12;
const PAUSE_MS = 300;
/** For each stroke. */
const STOCK = { users: 2_000, coupons: 60, stream: 12_000 };
/** For each stroke: of the coupon that only the fault asks for. */
const OWN = { count: 20, users: 200 };
/** Of load before the first stroke, between two and after the last, at most, ms. */
const GAP_MS = 2_000;
const FINISH_MS = 20_000;
/** As many as ask at once in the longest outage. */
const SOCKETS = 4_000;

/** The cluster is whole before and afterwards, and its own servers run. Its coupons and grants are gone. */
export function besiege(fault: ClusterFault, cluster: Cluster, options: SiegeOptions): Promise<Siege> {
  const { seed, strokes, isShort, plant } = options;
  return withCleanup(async (later) => {
    await untilWhole(cluster);
    const { stock, stream, own } = await fill(cluster, seed, strokes, later);
    const planted = await plant?.(cluster);
    if (planted) later(planted.end);
    if (fault.isControl) await waitForNobody(cluster, later);
    const ways = await fault.prepare?.(cluster);
    if (ways) later(ways.close);
    const history = historyOf(seed, stock, stream, own);
    const secret = newSecret();
    const start = startIn(cluster, secret, history, planted, later);
    const servers = [];
    for (const url of cluster.servers) servers.push(await start(Number(new URL(url).port)));
    await untilSeen("HAProxy sees the servers", async () => (await fetch(`${cluster.url}/readyz`)).ok);

    const random = createRandom(seed);
    const client = createClient(tokensOf(secret), { maxSockets: SOCKETS });
    later(async () => client.close());
    const endWatch = watchStalls(history.stalls);
    later(async () => endWatch());
    const targets = [cluster.url];
    const load = startLoad({
      ...{ seed, client, targets, users: stock.users, coupons: stock.coupons, pauseMs: PAUSE_MS, history },
      // A control shows what is lost, and who asks again for what was lost is refused it.
      ...{ clients: fault.isControl ? 0 : CLIENTS, restocks: !fault.isControl },
    });
    const lives = startLives({
      ...{ seed, load, client, targets, history, stock },
      isOn: !fault.isControl,
    });
    const asking = startStream({ load, ...stream, target: () => cluster.url, random });
    const watch = startWatch(cluster.target, () => cluster.servers);
    later(watch.stop);
    const untilWell = wellness(load, stock, cluster.servers);
    const stage: Stage = {
      ...{ cluster, random, servers, startServer: start, own, ways },
      insist: (ask, server) => load.insist(ask, FINISH_MS, () => cluster.servers[server]),
      hold: (least, most) => sleep((least + random() * (most - least)) * (isShort ? 0.25 : 1)),
    };
    await untilWell();
    let cameUntil = 0;
    try {
      for (let i = 0; i < strokes; i++) {
        await sleep(random() * GAP_MS);
        const from = performance.now();
        await fault.strike(stage);
        const until = performance.now();
        history.strokes.push({ from, until, wellAt: await untilWell(), isServers: false });
      }
      await sleep(random() * GAP_MS);
    } finally {
      await lives.finish();
      cameUntil = performance.now();
      await asking.finish();
      await load.finish(FINISH_MS);
      await watch.stop();
    }
    const state = await readState(cluster.target.url, history);
    const verdict = check(history, state);
    return { verdict, history, state, figures: figuresOf(history, watch, verdict.violations, cameUntil) };
  });
}

interface Filled {
  stock: Stock;
  stream: { coupon: number; count: number; firstUser: number };
  own: Stage["own"];
}

/** Ends the cluster's own servers, which come back later, and makes users and coupons. */
async function fill(cluster: Cluster, seed: number, strokes: number, later: Later): Promise<Filled> {
  for (const server of SERVERS) {
    if (await cluster.isRunning(server)) await cluster.end(server);
    later(() => cluster.launch(server));
  }
  await withConnection(cluster.target, emptyTables, { role: "coupon_owner" });
  return withConnection(cluster.target.as("coupon_admin"), async (admin) => {
    const stock = await fillStock({ admin }, seed, strokes * STOCK.users, strokes * STOCK.coupons);
    const firstUser = stock.members.last + 1;
    const count = strokes * STOCK.stream;
    await addUsers({ admin }, firstUser, firstUser + count + strokes * OWN.users);
    let next = firstUser + count + 1;
    // Their days come before those of the stock.
    const make = (code: string, units: number, from: string) =>
      makeCoupon(admin, { code, count: units, from, until: "3 days" });
    return {
      stock,
      stream: { coupon: await make("STREAM", count, "-1001 days"), count, firstUser },
      own: {
        coupon: await make("OWN", strokes * OWN.count, "-1002 days"),
        count: strokes * OWN.count,
        takeUsers: (users) => Array.from({ length: users }, () => next++),
      },
    };
  });
}

/** From now on commits wait for no standby, and whoever is behind may lead. Taken back later. */
async function waitForNobody(cluster: Cluster, later: Later): Promise<void> {
  later(async () => {
    await cluster.configure({
      synchronous_mode: true,
      synchronous_mode_strict: true,
      maximum_lag_on_failover: null,
    });
    await untilWhole(cluster);
  });
  await cluster.configure({
    synchronous_mode: false,
    synchronous_mode_strict: false,
    maximum_lag_on_failover: 2 ** 30,
  });
  await untilWhole(cluster, false);
}

/** Starts a server on a port that HAProxy knows. */
function startIn(
  cluster: Cluster,
  secret: string,
  history: History,
  planted: Planted | undefined,
  later: Later,
): (port: number) => Promise<Server> {
  const apiUrl = cluster.target.as("coupon_api").url;
  return async (port) => {
    // As server.env has it: HAProxy has noticed by then.
    const environment = { DRAIN_DELAY: "1" };
    const server = await startServer(apiUrl, secret, history, port, environment, planted?.main);
    later(server.stop);
    return server;
  };
}

/** One fault, many times, under load: strike, see when it is well again, and at the end hold all against the database. */
import { setTimeout as sleep } from "node:timers/promises";
import { atEnd, withCleanup } from "../harness/cleanup.ts";
import { type Scratch, scratchDatabase } from "../harness/scratch.ts";
import { newSecret } from "../harness/service.ts";
import { watchStalls } from "../harness/stalls.ts";
import { createRandom } from "../harness/stats.ts";
import { BOUNDS } from "./checker/bounds.ts";
import { check, type Verdict } from "./checker/check.ts";
import { createClient, tokensOf } from "./client.ts";
import { createClock, type FakeTime, openFakeTime } from "./clock.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import type { Fault } from "./fault.ts";
import { type Ground, startServer } from "./ground.ts";
import type { FinalState, History } from "./history.ts";
import { startLives } from "./lives.ts";
import { type Load, startLoad } from "./load.ts";
import { openProxy } from "./proxy.ts";
import { fillStock, historyOf, readState, type Stock } from "./state.ts";

interface AssaultOptions {
  seed: number;
  strokes: number;
  /** Whether faults last a quarter as long. */
  isShort: boolean;
  /** Changes the service before it serves. */
  plant?: (database: Scratch) => Promise<unknown>;
}

export interface Assault {
  verdict: Verdict;
  history: History;
  state: FinalState;
}

type Later = (end: () => Promise<unknown>) => void;

const CLIENTS = 64;
const PAUSE_MS = 100;
/** For each stroke, and those that come round a second time are told so. */
const STOCK = { users: 3_000, coupons: 100 };
/** Of load before the first stroke, between two and after the last, at most, ms. */
const GAP_MS = 1_200;
/** By then every request whose outcome was unknown has its answer. */
const FINISH_MS = 20_000;

/** `shared` is a cluster that is left as it was found, for faults that want one without anything special. */
export function assault(
  fault: Fault,
  options: AssaultOptions,
  shared: () => Promise<Cluster>,
): Promise<Assault> {
  const { seed, strokes } = options;
  return withCleanup(async (later) => {
    const { ground, stock, history, secret } = await prepare(fault, options, shared, later);
    const { random, targets, servers, database } = ground;
    const client = createClient(tokensOf(secret));
    later(async () => client.close());
    const endWatch = watchStalls(history.stalls);
    later(async () => endWatch());
    const load = startLoad({
      seed,
      client,
      targets,
      users: stock.users,
      coupons: stock.coupons,
      clients: CLIENTS,
      pauseMs: PAUSE_MS,
      restocks: fault.clock !== "database",
      history,
    });
    const lives = startLives({
      ...{ seed, load, client, targets, history, stock },
      isOn: fault.clock !== "database",
    });
    const untilWell = wellness(load, stock, targets);
    const survivor = servers[0];
    await untilWell();
    try {
      for (let i = 0; i < strokes; i++) {
        await sleep(random() * GAP_MS);
        const from = performance.now();
        await fault.strike(ground);
        const until = performance.now();
        history.strokes.push({ from, until, wellAt: await untilWell(), isServers: fault.isServers ?? false });
        if (survivor && servers[0] === survivor) history.memory.push(await survivor.memory());
      }
      await sleep(random() * GAP_MS);
    } finally {
      await lives.finish();
      await load.finish(FINISH_MS);
    }
    const state = await readState(database.setupUrl, history);
    return { verdict: check(history, state), history, state };
  });
}

/** Everything that the fault needs, and nobody who asks for anything yet. */
async function prepare(
  fault: Fault,
  { seed, strokes, isShort, plant }: AssaultOptions,
  shared: () => Promise<Cluster>,
  later: Later,
): Promise<{ ground: Ground; stock: Stock; history: History; secret: string }> {
  const random = createRandom(seed);
  const fakeTime = await openFakeTime();
  later(fakeTime.close);
  const cluster = await clusterOf(fault, fakeTime, shared, later);
  const scratch = await scratchDatabase(cluster?.url);
  const database = { ...scratch, drop: atEnd(scratch.drop) };
  later(database.drop);
  const stock = await fillStock(database, seed, strokes * STOCK.users, strokes * STOCK.coupons);
  await plant?.(database);
  const proxy = await openProxy(database.apiUrl);
  later(proxy.close);

  const history = historyOf(seed, stock);
  const secret = newSecret();
  const start = async (port?: number) => {
    const environment = fault.clock === "server" ? fakeTime.environment : {};
    const server = await startServer(proxy.url, secret, history, port, environment);
    later(server.stop);
    return server;
  };
  const servers = [await start()];
  if (fault.servers === 2) servers.push(await start());
  const targets = servers.map(({ url }) => url);
  const ground: Ground = {
    random,
    database,
    proxy,
    servers,
    targets,
    startServer: start,
    cluster: cluster as Cluster,
    clock: createClock(fault.clock, fakeTime, database, targets),
    hold: (least, most) => sleep((least + random() * (most - least)) * (isShort ? 0.25 : 1)),
  };
  return { ground, stock, history, secret };
}

/** The fault's own cluster if it wants a special one, the shared one if any will do, else none. */
async function clusterOf(
  { cluster: wanted, clock }: Fault,
  { environment }: FakeTime,
  shared: () => Promise<Cluster>,
  later: Later,
): Promise<Cluster | undefined> {
  if (wanted === undefined) return undefined;
  if (wanted === "plain" && clock !== "database") return shared();
  const cluster = await startCluster({
    ...(wanted === "plain" ? {} : wanted),
    ...(clock === "database" ? { environment } : {}),
  });
  later(cluster.close);
  return cluster;
}

/** Waits until each server has granted to somebody new, and let the grant be used; when that was, or Infinity. ms */
export function wellness(load: Load, { probe }: Stock, targets: readonly string[]): () => Promise<number> {
  const { coupon } = probe;
  let user = probe.firstUser;
  return async () => {
    for (const target of targets) {
      const asks = [
        { kind: "issue", coupon, user },
        { kind: "use", coupon, user, reference: "probe" },
      ] as const;
      user += 1;
      for (const ask of asks)
        if ((await load.insist(ask, 2 * BOUNDS.wellMs, () => target)).is !== "ok")
          return Number.POSITIVE_INFINITY;
    }
    return performance.now();
  };
}

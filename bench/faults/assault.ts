/** One fault, many times, under load: strike, see when it is well again, and at the end hold all against the database. */
import { chmod, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { atEnd, withCleanup } from "../harness/cleanup.ts";
import { type Scratch, scratchDatabase } from "../harness/scratch.ts";
import { newSecret } from "../harness/service.ts";
import { createRandom } from "../harness/stats.ts";
import { adminToken, userToken } from "../harness/tokens.ts";
import { BOUNDS } from "./checker/bounds.ts";
import { check, type Verdict } from "./checker/check.ts";
import { createClient } from "./client.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { FAKETIME, type Fault } from "./faults.ts";
import { type Ground, startServer, untilSeen } from "./ground.ts";
import { type FinalState, type History, newHistory } from "./history.ts";
import { startLoad } from "./load.ts";
import { openProxy } from "./proxy.ts";
import { fillStock, readState } from "./state.ts";

export interface AssaultOptions {
  seed: number;
  strokes: number;
  /** Faults last a quarter as long. */
  isShort: boolean;
  /** What is changed of the service before it serves. */
  plant?: (database: Scratch) => Promise<unknown>;
}

export interface Assault {
  verdict: Verdict;
  history: History;
  state: FinalState;
}

const CLIENTS = 64;
const PAUSE_MS = 100;
/** For each stroke, and those that come round a second time are told so. */
const STOCK = { users: 3_000, coupons: 100 };
/** Of load before the first stroke, between two and after the last, at most, ms. */
const GAP_MS = 1_200;
/** Every unknown answer has had its answer by then. */
const FINISH_MS = 20_000;

/** `shared` is a cluster that is left as it was found, for faults that want one without anything special. */
export function assault(
  fault: Fault,
  { seed, strokes, isShort, plant }: AssaultOptions,
  shared: () => Promise<Cluster>,
): Promise<Assault> {
  return withCleanup(async (later) => {
    const random = createRandom(seed);
    const directory = await mkdtemp(join(tmpdir(), "faults-clock-"));
    // PostgreSQL reads it, and is another user.
    await chmod(directory, 0o755);
    later(() => rm(directory, { recursive: true }));
    const clockFile = join(directory, "ahead");
    /** At once as a whole: a clock that found no number in it would end its process. */
    const writeClock = async (ahead: number) => {
      await writeFile(`${clockFile}.new`, `${ahead < 0 ? "" : "+"}${ahead.toFixed(3)}`);
      await rename(`${clockFile}.new`, clockFile);
    };
    await writeClock(0);
    const faketime = {
      LD_PRELOAD: FAKETIME,
      FAKETIME_TIMESTAMP_FILE: clockFile,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      FAKETIME_XRESET: "1",
    };

    const isOwn = fault.clock === "database" || typeof fault.cluster === "object";
    const cluster = isOwn
      ? await startCluster({
          ...(typeof fault.cluster === "object" ? fault.cluster : {}),
          ...(fault.clock === "database" ? { environment: faketime } : {}),
        })
      : fault.cluster && (await shared());
    if (isOwn && cluster) later(cluster.close);
    const scratch = await scratchDatabase(cluster?.url);
    const database = { ...scratch, drop: atEnd(scratch.drop) };
    later(database.drop);
    const stock = await fillStock(database, seed, strokes * STOCK.users, strokes * STOCK.coupons);
    await plant?.(database);
    const proxy = await openProxy(database.apiUrl);
    later(proxy.close);

    const history = newHistory(
      seed,
      new Map([...stock.coupons, stock.probe].map(({ coupon, count }) => [coupon, count])),
    );
    const secret = newSecret();
    const start = async (port?: number) => {
      const environment = fault.clock === "server" ? faketime : {};
      const server = await startServer(proxy.url, secret, history, port, environment);
      later(server.stop);
      return server;
    };
    const servers = [await start()];
    if (fault.servers === 2) servers.push(await start());
    const targets = servers.map(({ url }) => url);
    const survivor = servers[0];

    const clock: Ground["clock"] = {
      ahead: 0,
      async set(ahead) {
        clock.ahead = ahead;
        await writeClock(ahead);
        await untilSeen(`a clock that is ${ahead.toFixed(3)} s ahead`, async () => {
          const earliest = Date.now();
          const [time, exactMs] =
            fault.clock === "database"
              ? [await databaseTime(database), 50]
              : [await serverTime(targets), 2_000];
          const [low, high] = [earliest, Date.now()].map((at) => at + ahead * 1_000) as [number, number];
          return low - exactMs <= time && time <= high + exactMs;
        });
      },
    };

    const ground: Ground = {
      random,
      database,
      proxy,
      servers,
      targets,
      startServer: start,
      cluster: cluster as Cluster,
      clock,
      hold: (least, most) => sleep((least + random() * (most - least)) * (isShort ? 0.25 : 1)),
    };
    const client = createClient((user) => userToken(secret, user), adminToken(secret));
    later(async () => client.close());
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

    let probes = 0;
    /** Grants and uses of somebody new, by each server. */
    async function untilWell(): Promise<number> {
      for (const target of targets) {
        const { coupon } = stock.probe;
        const user = stock.probe.firstUser + probes++;
        const use = { kind: "use", coupon, user, reference: "probe" } as const;
        for (const ask of [{ kind: "issue", coupon, user } as const, use])
          if ((await load.insist(ask, 2 * BOUNDS.wellMs, target)).is !== "ok")
            return Number.POSITIVE_INFINITY;
      }
      return performance.now();
    }

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
      await load.finish(FINISH_MS);
    }
    const state = await readState(database.setupUrl);
    return { verdict: check(history, state), history, state };
  });
}

async function databaseTime({ admin }: Scratch): Promise<number> {
  const [row] = await admin`select extract(epoch from clock_timestamp())::float8 * 1000 as ms`;
  return row?.["ms"];
}

/** As its answers are dated: of a second, and kept for as long. */
async function serverTime([target]: readonly string[]): Promise<number> {
  const { headers } = await fetch(`${target}/livez`);
  return Date.parse(headers.get("date") ?? "");
}

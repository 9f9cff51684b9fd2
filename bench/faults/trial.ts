/**
 * A run within this process: two services on one scratch database, behind calls that fail by chance, and clients. Ends with the
 * checker's verdict.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { connectDb, type Db } from "../../server/database/functions.ts";
import type { createIssuing } from "../../server/issuing/issuing.ts";
import { withCleanup } from "../harness/cleanup.ts";
import type { Scratch } from "../harness/scratch.ts";
import { newDatabase, newSecret } from "../harness/service.ts";
import { watchStalls } from "../harness/stalls.ts";
import { BOUNDS, type Bounds } from "./checker/bounds.ts";
import { check, type Verdict } from "./checker/check.ts";
import { createClient, tokensOf } from "./client.ts";
import { type Chances, type Flaky, flaky } from "./flaky.ts";
import type { FinalState, History } from "./history.ts";
import { type Inside, serveInside } from "./inside.ts";
import { startLives } from "./lives.ts";
import { startLoad } from "./load.ts";
import { fillStock, historyOf, readState } from "./state.ts";

interface TrialOptions {
  seed: number;
  requests: number;
  chances?: Chances;
  restocks?: boolean;
  /** Coupons that each operator makes and withdraws: `most` of lives.ts. */
  lives?: number;
  bounds?: Bounds;
  /** Changes the service before it serves. */
  plant?: (database: Scratch) => Promise<Plant>;
}

export interface Plant {
  db?: (db: Db) => Db;
  createIssuing?: typeof createIssuing;
  /** What is done after the load. */
  end?: () => Promise<unknown>;
}

export interface Trial {
  verdict: Verdict;
  history: History;
  state: FinalState;
  /** How often each fault was made. */
  made: Flaky["made"];
}

const SERVERS = 2;
const CLIENTS = 96;
const PAUSE_MS = 50;
/** So that hardly anybody asks twice by chance. */
const REQUESTS_PER_COUPON = 30;
/** How much longer a client waits than an answer may take. */
const HANGS_ON_MS = 5_000;
/** The longest that a run may take. A bug may bring everything to a standstill, but nobody waits for this when all is done. */
const LONGEST_MS = 30_000;

/** The faults that were never made. */
export function unmadeOf({ made }: Pick<Trial, "made">): string[] {
  return Object.entries(made).flatMap(([fault, times]) => (times === 0 ? [fault] : []));
}

export function trial({
  seed,
  requests,
  chances,
  restocks = true,
  lives = 4,
  bounds = BOUNDS,
  plant,
}: TrialOptions): Promise<Trial> {
  return withCleanup(async (later) => {
    const database = await newDatabase();
    later(database.drop);
    const stock = await fillStock(database, seed, requests, Math.ceil(requests / REQUESTS_PER_COUPON));
    const planted = await plant?.(database);
    const secret = newSecret();
    const layers: Flaky[] = [];
    const insides: Inside[] = [];
    const targets: string[] = [];
    for (let i = 0; i < SERVERS; i++) {
      const db = connectDb(database.apiUrl);
      later(() => db.close(1_000));
      const layer = flaky(planted?.db?.(db) ?? db, seed * SERVERS + i, chances);
      layers.push(layer);
      const inside = await serveInside(
        layer.db,
        secret,
        planted?.createIssuing && { createIssuing: planted.createIssuing },
      );
      later(inside.close);
      insides.push(inside);
      targets.push(inside.url);
    }
    const client = createClient(tokensOf(secret), { deadlineMs: bounds.answerMs + HANGS_ON_MS });
    later(async () => client.close());
    const history = historyOf(seed, stock);

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
      restocks,
      history,
      requests,
    });
    const corrected = startLives({
      ...{ seed, load, client, targets, history, stock, most: lives },
      isOn: lives > 0,
    });
    await Promise.race([
      Promise.all([load.made, corrected.made]),
      ...(plant ? [sleep(LONGEST_MS, undefined, { ref: false })] : []),
    ]);
    for (const layer of layers) layer.heal();
    await corrected.finish();
    await load.finish(5_000);
    for (const inside of insides) await inside.close();
    history.isCounted = true;
    await Promise.all(layers.map((layer) => layer.settled()));
    await planted?.end?.();

    const state = await readState(database.setupUrl, history);
    const made = { ...(layers[0] as Flaky).made };
    for (const layer of layers.slice(1))
      for (const name of Object.keys(made) as (keyof typeof made)[]) made[name] += layer.made[name];
    return { verdict: check(history, state, bounds), history, state, made };
  });
}

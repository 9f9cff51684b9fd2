/**
 * What more servers cost one database: the statements, CPU time and connections that each of 1, 2 and 4 servers takes of it, at rest,
 * while a coupon that is sold out is asked for at two rates and with few and many users in the database, and while the coupons on offer
 * are read. And what each request costs the server. From these follows what 50 servers would cost, since each figure is one of a server
 * and does not change with their number.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { withConnection } from "../../db/connect.ts";
import { withCleanup } from "../harness/cleanup.ts";
import { type Snapshot, snapshot, total } from "../harness/cpu.ts";
import { coresFor, coresOf, pin } from "../harness/pinning.ts";
import type { Process } from "../harness/process.ts";
import type { Scratch } from "../harness/scratch.ts";
import { newDatabase, newSecret, readMetric, startServer } from "../harness/service.ts";
import { addUsers, createCoupon, grantsOf } from "../harness/tables.ts";
import { createFreshTokens, issueShot, type Shot } from "../harness/tokens.ts";
import { createVerdict, type Findings, type Say, Skipped, type Verdict } from "../report/result.ts";
import { evenly, fly, greet, openPool, type Pool, wire } from "./open-loop.ts";
import { inTurn } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";
import {
  type Contender,
  figuresOf,
  type Load,
  type Seen,
  type ServersOptions,
  wrongLeases,
} from "./servers-figures.ts";
import { postmasterOf } from "./volley.ts";

export const servers: Scenario<ServersOptions> = {
  name: "servers",
  about: "what each of several servers costs the database: statements, CPU time, connections",
  defaults: { rounds: 3, servers: [1, 2, 4], rates: [500, 2_000], users: [20_000, 1_000_000], seconds: 5 },
  quick: { rounds: 1, servers: [1, 2], rates: [100, 400], users: [500, 5_000], seconds: 1 },
  check({ servers, rates, users }) {
    if (rates.length !== 2) throw new Error("--rates takes two: a low one and a high one");
    if (servers.length < 2) throw new Error("--servers takes at least two numbers, which are compared");
    const [few = 0, many = 0] = users;
    if (users.length !== 2 || few <= COUNT || many <= few)
      throw new Error(`--users takes two: more than ${COUNT}, and more than that`);
  },
  run,
};

const COUNT = 5;
/** Of all servers together. */
const CONNECTIONS = 64;
/** A request that finds no free connection for so long is given up, which fails the run. */
const PATIENCE_MS = 10_000;
/** A lease that has not come so long after its question was not given. */
const LEASE_MS = 2_000;

/** A database with so many users, and a coupon that is sold out. */
interface Shop {
  users: number;
  database: Scratch;
  couponId: number;
}

interface Stage {
  shops: readonly Shop[];
  postmaster: number | undefined;
  secret: string;
  options: ServersOptions;
  tokens: (count: number) => string[];
  verdict: Verdict;
  /** A core for each server; none where the machine has too few. */
  cores: readonly number[];
}

function run(options: ServersOptions, say: Say): Promise<Findings> {
  return withCleanup(async (later) => {
    const shops: Shop[] = [];
    for (const users of options.users) {
      const database = await newDatabase();
      later(database.drop);
      shops.push({ users, database, couponId: await makeShop(database, users) });
    }
    const secret = newSecret();
    const [{ database, users: few }] = shops as [Shop, Shop];
    const strangers = Array.from({ length: few - COUNT }, (_, i) => COUNT + 1 + i);
    const verdict = createVerdict();
    const stage: Stage = {
      shops,
      postmaster: await postmasterOf(database),
      secret,
      options,
      tokens: createFreshTokens(secret, strangers),
      verdict,
      cores: coresFor(Math.max(...options.servers), await coresOf("self")),
    };
    const measured = await inTurn(
      contendersOf(options),
      options.rounds,
      (contender) => oneVolley(stage, contender),
      say,
      1, // nothing to warm up: each volley has servers of its own
    );
    for (const shop of shops) await verdict.reconciles(shop.database.admin);
    const found = figuresOf(measured, options);
    verdict.failures.push(...wrongLeases(found.measures));
    verdict.checks.push(
      `every request answered as it must be, ${COUNT} rows of each sold-out coupon before and after, reconcile() empty; no server asked ` +
        "more than twice a second for a coupon's lease, or at rest",
    );
    return {
      ...found,
      checks: verdict.checks,
      failures: verdict.failures,
      notes: notesOf(stage),
    };
  });
}

async function makeShop(database: Scratch, users: number): Promise<number> {
  const { admin, target } = database;
  // In sessions that begin later.
  const counting = `alter database ${target.database} set track_functions = 'pl'`;
  await withConnection(target, (sql) => sql.unsafe(counting)).catch((error: { code?: string }) => {
    if (error.code !== "42501") throw error;
    throw new Skipped(
      `it counts calls of functions: have a superuser say grant set on parameter track_functions to ${target.login}`,
    );
  });
  await addUsers(database, 1, users);
  const couponId = await createCoupon(admin, "sold-out", 0, COUNT);
  await admin`
    select count(*) from issue_coupons(${couponId}::bigint, array(select n from generate_series(1, ${COUNT}::bigint) n))`;
  return couponId;
}

/** With few users everything, and with many what is refused. */
function contendersOf({ servers, users: [few = 0, many = 0] }: ServersOptions): Contender[] {
  const loads: Load[] = ["start", "rest", "few refusals", "refusals", "reads"];
  return servers.flatMap((servers) => [
    ...loads.map((load) => ({ servers, users: few, load })),
    ...(["start", "refusals"] as const).map((load) => ({ servers, users: many, load })),
  ]);
}

/** With servers of its own, since a backend tells its statements when it ends and not before. */
async function oneVolley(stage: Stage, { servers, users, load }: Contender): Promise<Seen> {
  const { shops, secret, verdict } = stage;
  const shop = shops.find((each) => each.users === users) as Shop;
  const { database } = shop;
  const before = await countsOf(database);
  const processes = await Promise.all(
    Array.from({ length: servers }, () => startServer(database.apiUrl, { JWT_SECRET: secret })),
  );
  const ready = performance.now();
  const shown = await during(stage, shop, processes, load).finally(() =>
    Promise.all(processes.map((one) => one.stop())),
  );
  const lived = (performance.now() - ready) / 1_000;
  await allGone(database);
  const { rows, issued } = await grantsOf(database.admin, shop.couponId);
  verdict.equal("rows", rows, COUNT);
  verdict.equal("coupons.issued", issued, COUNT);
  const after = await countsOf(database);
  const each = (count: keyof typeof after) => (after[count] - before[count]) / servers;
  return { ...shown, statements: each("statements"), leases: each("leases"), counts: each("counts"), lived };
}

async function during(stage: Stage, shop: Shop, processes: readonly Process[], load: Load) {
  const { postmaster, options, verdict, cores } = stage;
  const { database } = shop;
  const pids = [...processes.map(({ pid }) => pid), ...(postmaster ? [postmaster] : [])];
  const [few = 0, many = 0] = options.rates;
  const perSecond = load === "few refusals" ? few : load === "refusals" || load === "reads" ? many : 0;
  const requests = Math.round((perSecond * options.seconds) / processes.length);
  if (cores.length > 0) await Promise.all(processes.map(({ pid }, i) => pin(pid, cores[i] as number)));
  const pools = await Promise.all(
    processes.map(({ url }) => openPool(url, Math.ceil(CONNECTIONS / processes.length))),
  );
  try {
    const firsts = await Promise.all(
      processes.map((process, i) => takeLease(stage, shop, process, pools[i] as Pool)),
    );
    const before = await Promise.all(pids.map((pid) => snapshot(pid)));
    if (perSecond === 0) await sleep(load === "rest" ? options.seconds * 1_000 : 0);
    const flights = await Promise.all(
      processes.map(async ({ url }, i) => {
        if (perSecond === 0) return;
        const { host } = new URL(url);
        const shots = shotsOf(stage, shop, load, requests);
        return fly(pools[i] as Pool, {
          due: evenly(perSecond / processes.length, options.seconds),
          request: (sent) => wire(shots[sent] as Shot, host),
          patience: PATIENCE_MS,
        });
      }),
    );
    const asked = (performance.now() - Math.min(...firsts)) / 1_000;
    const after = await Promise.all(pids.map((pid) => snapshot(pid)));
    const wanted = load === "reads" ? 200 : 409;
    for (const flight of flights)
      if (flight)
        verdict.equal(`answers ${wanted} to ${load}`, flight.answers[wanted]?.took.length, requests);
    const used = (i: number) => total(before[i] as Snapshot, after[i] as Snapshot);
    const ofServers = processes.reduce((sum, _, i) => sum + used(i), 0);
    return {
      asked,
      cpu: perSecond > 0 ? (ofServers * 1e6) / (requests * processes.length) : Number.NaN,
      database: postmaster
        ? (used(processes.length) * 1_000) / options.seconds / processes.length
        : Number.NaN,
      connections: (await connectionsOf(database)) / processes.length,
    };
  } finally {
    for (const pool of pools) pool.close();
  }
}

/**
 * Refuses a request, and waits until the server has the lease that it asks for then. One that is not given is asked for again. Returns
 * when that was first, by performance.now().
 */
async function takeLease(stage: Stage, shop: Shop, { url }: Process, pool: Pool): Promise<number> {
  const { host } = new URL(url);
  await greet(pool, host);
  const due = new Float64Array(1);
  const hasLease = async () => (await readMetric(url, stage.secret, "coupon_leases_held ")) > 0;
  const first = performance.now();
  for (let askedAt = Number.NEGATIVE_INFINITY; !(await hasLease()); await sleep(10)) {
    if (performance.now() - askedAt < LEASE_MS) continue;
    const [shot] = shotsOf(stage, shop, "refusals", 1);
    await fly(pool, { due, request: () => wire(shot as Shot, host), patience: PATIENCE_MS });
    askedAt = performance.now();
  }
  return first;
}

function shotsOf({ tokens }: Stage, { couponId }: Shop, load: Load, count: number): Shot[] {
  if (load === "reads")
    return new Array<Shot>(count).fill({ method: "GET", path: "/coupons/live", headers: {}, body: "" });
  return tokens(count).map((token) => issueShot(token, couponId));
}

/** Transactions in this database that have ended, each call of a server being one; and how many of them asked for leases, or counted. */
async function countsOf({ owner }: Scratch): Promise<Pick<Seen, "statements" | "leases" | "counts">> {
  const [found] = await owner`
    select
      (select (xact_commit + xact_rollback)::float8 from pg_stat_database where datname = current_database()) as statements,
      coalesce(sum(calls) filter (where funcname = 'coupon_leases'), 0)::float8 as leases,
      coalesce(sum(calls) filter (where funcname = 'count_demand'), 0)::float8 as counts
    from pg_stat_user_functions
    where schemaname = 'public'`;
  return found as unknown as Pick<Seen, "statements" | "leases" | "counts">;
}

async function connectionsOf({ owner, apiUrl }: Scratch): Promise<number> {
  const login = decodeURIComponent(new URL(apiUrl).username);
  const [found] = await owner`
    select count(*)::integer as count from pg_stat_activity where datname = current_database() and usename = ${login}`;
  return found?.["count"];
}

async function allGone(database: Scratch): Promise<void> {
  while ((await connectionsOf(database)) > 0) await sleep(20);
}

function notesOf({ cores, options }: Stage): string[] {
  const most = Math.max(...options.servers);
  return [
    `Each rate is of all servers together, over ${CONNECTIONS} connections; a statement is a transaction in pg_stat_database, less ` +
      "those of a server that starts, refuses one request and stops. Questions for leases, without the first one of each server, and " +
      "calls that count are calls in pg_stat_user_functions.",
    "What 50 servers would cost is 50 times a server's figure beside the most others that were measured: it assumes that this is as " +
      "flat beyond as it is so far, and that nothing else holds PostgreSQL up. The cores are counted from the CPU time of a request where the " +
      "fewest servers answer the high rate. A busier server needs less of it a request, as refuse shows: so these are more cores than it takes.",
    cores.length > 0
      ? `Each server had a core of its own (taskset): ${cores.join(", ")}.`
      : `No server had a core of its own, which takes ${most + 2} cores for ${most} servers: what more servers can do is to be read from the ` +
        "CPU time of a request.",
  ];
}

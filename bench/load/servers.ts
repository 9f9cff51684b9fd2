/**
 * What more servers cost one database: the statements, CPU time and connections that each of 1, 2 and 4 servers takes of it, at rest,
 * while a coupon that is sold out is asked for at two rates, and while the coupons on offer are read. And what each request costs the
 * server. From these follows what 50 servers would cost, since each figure is one of a server and does not change with their number.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { withCleanup } from "../harness/cleanup.ts";
import { type Snapshot, snapshot, total } from "../harness/cpu.ts";
import type { Process } from "../harness/process.ts";
import type { Scratch } from "../harness/scratch.ts";
import { newDatabase, newSecret, readMetric, startServer } from "../harness/service.ts";
import { median } from "../harness/stats.ts";
import { addUsers, createCoupon, grantsOf } from "../harness/tables.ts";
import { createFreshTokens, issueShot, type Shot } from "../harness/tokens.ts";
import { createVerdict, type Findings, type Headline, type Measure, type Say } from "../report/result.ts";
import { figuresOf } from "./measures.ts";
import { evenly, fly, greet, openPool, type Pool, wire } from "./open-loop.ts";
import { inTurn } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";
import { postmasterOf } from "./volley.ts";

interface ServersOptions {
  [name: string]: number | readonly number[];
  rounds: number;
  servers: readonly number[];
  /** Requests a second, of all servers together. The second rate is also that of the reads. */
  rates: readonly number[];
  seconds: number;
}

export const servers: Scenario<ServersOptions> = {
  name: "servers",
  about: "what each of several servers costs the database: statements, CPU time, connections",
  defaults: { rounds: 3, servers: [1, 2, 4], rates: [500, 2_000], seconds: 5 },
  quick: { rounds: 1, servers: [1, 2], rates: [100, 400], seconds: 1 },
  check({ servers, rates }) {
    if (rates.length !== 2) throw new Error("--rates takes two: a low one and a high one");
    if (servers.length < 2) throw new Error("--servers takes at least two numbers, which are compared");
  },
  run,
};

const USERS = 20_000;
const COUNT = 5;
/** Of all servers together. */
const CONNECTIONS = 64;
/** A request that finds no free connection for so long is given up, which fails the run. */
const PATIENCE_MS = 10_000;

/** What is asked; nothing at rest. */
type Load = "start" | "rest" | "few refusals" | "refusals" | "reads";

interface Contender {
  servers: number;
  load: Load;
}

/** What one volley showed. All but `cpu` is of each server. */
interface Seen {
  /** CPU time of the servers, µs a request. */
  cpu: number;
  /** CPU time of the database, ms a second. */
  database: number;
  /** Transactions, from before its start to after its end. */
  statements: number;
  /** From its being ready to its end, s. */
  lived: number;
  connections: number;
}

interface Stage {
  database: Scratch;
  postmaster: number | undefined;
  secret: string;
  options: ServersOptions;
  couponId: number;
  tokens: (count: number) => string[];
  verdict: ReturnType<typeof createVerdict>;
}

function run(options: ServersOptions, say: Say): Promise<Findings> {
  return withCleanup(async (later) => {
    const database = await newDatabase();
    later(database.drop);
    const { admin } = database;
    await addUsers(database, 1, USERS);
    const couponId = await createCoupon(admin, "sold-out", 0, COUNT);
    await admin`
      select count(*) from issue_coupons(${couponId}::bigint, array(select n from generate_series(1, ${COUNT}::bigint) n))`;
    const secret = newSecret();
    const strangers = Array.from({ length: USERS - COUNT }, (_, i) => COUNT + 1 + i);
    const stage: Stage = {
      database,
      postmaster: await postmasterOf(database),
      secret,
      options,
      couponId,
      tokens: createFreshTokens(secret, strangers),
      verdict: createVerdict(),
    };
    const loads: Load[] = ["start", "rest", "few refusals", "refusals", "reads"];
    const contenders = options.servers.flatMap((servers) => loads.map((load) => ({ servers, load })));
    const measured = await inTurn(
      contenders,
      options.rounds,
      (contender) => oneVolley(stage, contender),
      say,
      1, // nothing to warm up: each volley has servers of its own
    );
    return findingsOf(stage, measured);
  });
}

/** With servers of its own, since a backend tells its statements when it ends and not before. */
async function oneVolley(stage: Stage, { servers, load }: Contender): Promise<Seen> {
  const { database, secret, verdict } = stage;
  const before = await statementsOf(database);
  const processes = await Promise.all(
    Array.from({ length: servers }, () => startServer(database.apiUrl, { JWT_SECRET: secret })),
  );
  const ready = performance.now();
  const shown = await during(stage, processes, load).finally(() =>
    Promise.all(processes.map((one) => one.stop())),
  );
  const lived = (performance.now() - ready) / 1_000;
  await allGone(database);
  const { rows, issued } = await grantsOf(database.admin, stage.couponId);
  verdict.equal("rows", rows, COUNT);
  verdict.equal("coupons.issued", issued, COUNT);
  return { ...shown, statements: ((await statementsOf(database)) - before) / servers, lived };
}

async function during(stage: Stage, processes: readonly Process[], load: Load) {
  const { database, postmaster, options, verdict } = stage;
  const pids = [...processes.map(({ pid }) => pid), ...(postmaster ? [postmaster] : [])];
  const [few = 0, many = 0] = options.rates;
  const perSecond = load === "few refusals" ? few : load === "refusals" || load === "reads" ? many : 0;
  const requests = Math.round((perSecond * options.seconds) / processes.length);
  const pools = await Promise.all(
    processes.map(({ url }) => openPool(url, Math.ceil(CONNECTIONS / processes.length))),
  );
  try {
    await Promise.all(processes.map((_, i) => takeLease(stage, processes[i] as Process, pools[i] as Pool)));
    const before = await Promise.all(pids.map((pid) => snapshot(pid)));
    if (perSecond === 0) await sleep(load === "rest" ? options.seconds * 1_000 : 0);
    const flights = await Promise.all(
      processes.map(async ({ url }, i) => {
        if (perSecond === 0) return;
        const { host } = new URL(url);
        const shots = shotsOf(stage, load, requests);
        return fly(pools[i] as Pool, {
          due: evenly(perSecond / processes.length, options.seconds),
          request: (sent) => wire(shots[sent] as Shot, host),
          patience: PATIENCE_MS,
        });
      }),
    );
    const after = await Promise.all(pids.map((pid) => snapshot(pid)));
    const wanted = load === "reads" ? 200 : 409;
    for (const flight of flights)
      if (flight)
        verdict.equal(`answers ${wanted} to ${load}`, flight.answers[wanted]?.took.length, requests);
    const used = (i: number) => total(before[i] as Snapshot, after[i] as Snapshot);
    const ofServers = processes.reduce((sum, _, i) => sum + used(i), 0);
    return {
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

/** Refuses one request, and returns when the server has the lease that it asks for then. */
async function takeLease(stage: Stage, { url }: Process, pool: Pool): Promise<void> {
  const { host } = new URL(url);
  await greet(pool, host);
  const [shot] = shotsOf(stage, "refusals", 1);
  const due = new Float64Array(1);
  await fly(pool, { due, request: () => wire(shot as Shot, host), patience: PATIENCE_MS });
  while ((await readMetric(url, stage.secret, "coupon_leases_held ")) < 1) await sleep(10);
}

function shotsOf({ tokens, couponId }: Stage, load: Load, count: number): Shot[] {
  if (load === "reads")
    return new Array<Shot>(count).fill({ method: "GET", path: "/coupons/live", headers: {}, body: "" });
  return tokens(count).map((token) => issueShot(token, couponId));
}

/** Transactions in this database that have ended; each call of a server is one. */
async function statementsOf({ owner }: Scratch): Promise<number> {
  const [found] = await owner`
    select (xact_commit + xact_rollback)::float8 as count from pg_stat_database where datname = current_database()`;
  return found?.["count"];
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

function findingsOf(
  { database, options, verdict }: Stage,
  measured: Map<Contender, Seen[]>,
): Promise<Findings> {
  const all = [...measured].map(([contender, volleys]) => ({ ...contender, volleys }));
  const started = (servers: number) =>
    median(
      (all.find((one) => one.servers === servers && one.load === "start")?.volleys ?? []).map(
        ({ statements }) => statements,
      ),
    );
  const measures = all
    .filter(({ load }) => load !== "start")
    .map(({ servers, load, volleys }) => ({
      group: `${servers} ${servers === 1 ? "server" : "servers"}`,
      name: nameOf(load, options),
      figures: figuresOf(volleys, {
        "statements a second, each server": (seen) => (seen.statements - started(servers)) / seen.lived,
        "CPU of the database, ms a second, each server": (seen) => seen.database,
        "CPU of the servers, µs a request": (seen) => seen.cpu,
        "connections, each server": (seen) => seen.connections,
      }),
    }));
  return verdict.reconciles(database.admin).then(() => {
    verdict.checks.push(
      `every request answered as it must be, ${COUNT} rows of the sold-out coupon before and after, reconcile() empty`,
    );
    return {
      measures,
      headlines: headlinesOf(measures, options),
      checks: verdict.checks,
      failures: verdict.failures,
      notes: [
        `Each rate is of all servers together, over ${CONNECTIONS} connections; a statement is a transaction in pg_stat_database, less ` +
          "those of a server that starts, refuses one request and stops.",
      ],
    };
  });
}

function nameOf(load: Load, { rates }: ServersOptions): string {
  const [few = 0, many = 0] = rates;
  if (load === "rest") return "at rest";
  const each = `${(load === "few refusals" ? few : many).toLocaleString("en")} a second`;
  return load === "reads" ? `reads of the live coupons, ${each}` : `refusals, ${each}`;
}

/** How many servers, and how many people within a minute, the last headlines are about. */
const SERVERS = 50;
const PEOPLE = 10_000_000;

function headlinesOf(measures: readonly Measure[], options: ServersOptions): Headline[] {
  const [least = 1] = options.servers;
  const most = options.servers.at(-1) ?? 1;
  const figure = (servers: number, load: Load, name: string) => {
    const group = `${servers} ${servers === 1 ? "server" : "servers"}`;
    const found = measures.find((one) => one.group === group && one.name === nameOf(load, options));
    return Object.entries(found?.figures ?? {}).find(([key]) => key.startsWith(name))?.[1][0] ?? Number.NaN;
  };
  const statements = (servers: number, load: Load) => figure(servers, load, "statements");
  const ofCoupon = (servers: number, load: Load) => statements(servers, load) - statements(servers, "rest");
  const people = PEOPLE.toLocaleString("en");
  return [
    {
      name: "statements a second and server for a coupon that is sold out",
      value: ofCoupon(most, "refusals"),
    },
    {
      name: "statements of a server, refusals at the high rate / at the low rate",
      value: statements(most, "refusals") / statements(most, "few refusals"),
    },
    {
      name: `statements of each of ${most} servers / of one, refusals`,
      value: statements(most, "refusals") / statements(least, "refusals"),
    },
    {
      name: `${SERVERS} servers, a coupon sold out: statements a second`,
      value: SERVERS * statements(most, "refusals"),
    },
    {
      name: `${SERVERS} servers, a coupon sold out: CPU of the database, of one core`,
      value: (SERVERS * figure(most, "refusals", "CPU of the database")) / 10,
      unit: "%",
    },
    {
      name: `${SERVERS} servers: connections at most seen`,
      value: SERVERS * Math.max(...options.servers.map((n) => figure(n, "refusals", "connections"))),
    },
    {
      name: `${people} refusals in a minute: cores for the servers`,
      value: ((PEOPLE / 60) * figure(most, "refusals", "CPU of the servers")) / 1e6,
    },
  ].filter(({ value }) => Number.isFinite(value));
}

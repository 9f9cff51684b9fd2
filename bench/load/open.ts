/**
 * Everybody is there already: connections that are open and wait, and at the second that the coupon starts all of them ask at
 * once. What that takes of memory, and when the last one has its answer.
 */
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { withCleanup } from "../harness/cleanup.ts";
import { type Process, watchMemory } from "../harness/process.ts";
import type { Scratch } from "../harness/scratch.ts";
import { newDatabase, newSecret, startServer } from "../harness/service.ts";
import { percentile } from "../harness/stats.ts";
import { addUsers, createCoupon, emptyTables, grantsOf } from "../harness/tables.ts";
import { createShots, type Shot } from "../harness/tokens.ts";
import { createVerdict, type Findings, type Say, Skipped, type Verdict } from "../report/result.ts";
import { figuresOf } from "./measures.ts";
import { evenly, fly, openPool, type Pool, wire } from "./open-loop.ts";
import type { Scenario } from "./scenario.ts";

interface OpenOptions {
  [name: string]: number;
  rounds: number;
  connections: number;
  count: number;
}

export const open: Scenario<OpenOptions> = {
  name: "open",
  about: "connections open and waiting, all of which ask in the second that the coupon starts",
  defaults: { rounds: 5, connections: 10_000, count: 25 },
  quick: { rounds: 1, connections: 500 },
  check({ connections, count }) {
    if (count >= connections)
      throw new Error("--count must be less than --connections, or nobody is refused");
  },
  run,
};

/** What a process needs besides: libraries, the database, the log. */
const OTHER_FILES = 200;
/** So long nobody may wait for the last answer: more is counted as lost. */
const PATIENCE_MS = 60_000;

function run({ rounds, connections, count }: OpenOptions, say: Say): Promise<Findings> {
  return withCleanup(async (later) => {
    requireOpenFiles(connections + OTHER_FILES);
    const database = await newDatabase();
    later(database.drop);
    say(`preparing ${connections} users and their tokens`);
    await addUsers(database, 1, connections);
    const secret = newSecret();
    const shotOf = createShots(secret, connections);
    const verdict = createVerdict();

    const runs: Round[] = [];
    for (let round = 0; round <= rounds; round++) {
      say(round === 0 ? "warming up" : `round ${round} of ${rounds}`);
      const seen = await oneRound({ database, secret, shotOf, connections, count, verdict });
      if (round > 0) runs.push(seen);
    }
    await verdict.reconciles(database.admin);
    verdict.checks.push(
      `in each round ${count} rows, ${count} answers 201, ${connections - count} times sold_out, no connection refused or lost, ` +
        "reconcile() empty",
    );

    const figures = figuresOf(runs, {
      "last answer ms": (run) => run.last,
      "p50 ms": (run) => percentile(run.took, 0.5),
      "p99 ms": (run) => percentile(run.took, 0.99),
      "memory at rest MB": (run) => run.atRest,
      "waiting MB": (run) => run.waiting,
      "peak MB": (run) => run.peak,
      "connections failed": (run) => run.failed,
    });
    const many = connections.toLocaleString("en");
    const memory = (name: string, figure: string) => {
      const value = figures[figure]?.[0];
      return value === undefined ? [] : [{ name: `memory of the server, ${name}`, value, unit: "MB" }];
    };
    return {
      measures: [{ group: "", name: `${many} connections`, figures }],
      headlines: [
        ...memory(`${many} connections open and waiting`, "waiting MB"),
        ...memory(`at its peak while it answers ${many}`, "peak MB"),
      ],
      checks: verdict.checks,
      failures: verdict.failures,
      notes: [`All requests are due at once; latency counts from that instant. ${count} units.`],
    };
  });
}

interface Round {
  /** How long each answer took, ms, ascending. */
  took: number[];
  /** When the last one came, ms. */
  last: number;
  /** Connections refused or lost. */
  failed: number;
  /** MB */
  atRest: number;
  waiting: number;
  peak: number;
}

interface Setting {
  database: Scratch;
  secret: string;
  shotOf: (userId: number, couponId: number) => Shot;
  connections: number;
  count: number;
  verdict: Verdict;
}

/** With a server of its own: what one has taken of memory it does not give back. */
async function oneRound(setting: Setting): Promise<Round> {
  const { database, secret, connections } = setting;
  await emptyTables(database.owner);
  const server = await startServer(database.apiUrl, { JWT_SECRET: secret });
  try {
    const atRest = await server.memory();
    const pool = await openPool(server.url, connections);
    try {
      return { atRest, ...(await askAtOnce(setting, server, pool)) };
    } finally {
      pool.close();
    }
  } finally {
    await server.stop();
  }
}

async function askAtOnce(
  { database, shotOf, connections, count, verdict }: Setting,
  server: Process,
  pool: Pool,
): Promise<Omit<Round, "atRest">> {
  const { host } = new URL(server.url);
  // Each has asked for something before, as the page of a waiting customer has.
  const page = wire({ method: "GET", path: "/livez", headers: {}, body: "" }, host);
  const before = { due: evenly(5_000, connections / 5_000), request: () => page, patience: PATIENCE_MS };
  await fly(pool, before);

  const couponId = await createCoupon(database.admin, "open", 1, count);
  const requests = Array.from({ length: connections }, (_, i) => wire(shotOf(i + 1, couponId), host));
  const waiting = await server.memory();
  const [coupon] = await database.admin`
    select extract(epoch from starts_in)::float8 as starts_in from find_coupon(${couponId})`;
  // A clock's millisecond later, so that none is too early.
  await sleep((coupon?.["starts_in"] ?? 0) * 1000 + 2);
  const memory = watchMemory(server);
  const refusals: string[] = [];
  const flight = await fly(pool, {
    due: new Float64Array(connections),
    request: (sent) => requests[sent] as string,
    patience: PATIENCE_MS,
    onAnswer({ status, body }) {
      if (status !== 201) refusals.push(body);
    },
  });
  const peak = await memory.stop();
  const took = Object.values(flight.answers)
    .flatMap((answers) => answers.took)
    .sort((a, b) => a - b);
  const failed = pool.lost();
  const granted = flight.answers[201]?.took.length ?? 0;
  verifyRound(verdict, { connections, count, granted, refusals, failed });
  const grants = await grantsOf(database.admin, couponId);
  verdict.equal("rows", grants.rows, count);
  verdict.equal("last position", grants.last, count);
  return { took, last: flight.ended, failed, waiting, peak };
}

function verifyRound(
  { equal }: Verdict,
  seen: { connections: number; count: number; granted: number; refusals: string[]; failed: number },
): void {
  equal("answers 201", seen.granted, seen.count);
  const soldOut = seen.refusals.filter((body) => body.includes('"sold_out"')).length;
  equal("answers sold_out", soldOut, seen.connections - seen.count);
  equal("connections refused or lost", seen.failed, 0);
}

/** Node has raised the soft limit to the hard one, and a shell of ours inherits that. */
export function requireOpenFiles(wanted: number): void {
  const limit = execFileSync("sh", ["-c", "ulimit -n"], { encoding: "utf8" }).trim();
  if (limit !== "unlimited" && Number(limit) < wanted)
    throw new Skipped(
      `it needs ${wanted} open files in each process, and the limit is ${limit}: raise it ` +
        `(ulimit -n ${wanted}; beyond the hard limit as root), or give --connections ${Math.max(1, Number(limit) - OTHER_FILES)}`,
    );
}

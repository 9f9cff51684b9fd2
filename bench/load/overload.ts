/**
 * More than it can do: grants are asked for at fixed instants, at a multiple of what the service was able to do when each
 * asker waited for an answer. What it then still grants, how long that takes, what it refuses, and how soon it is well again.
 */
import { withCleanup } from "../harness/cleanup.ts";
import { watchMemory } from "../harness/process.ts";
import { type Service, startService } from "../harness/service.ts";
import { median, percentile, spread } from "../harness/stats.ts";
import { addUsers, createCoupon, emptyTables, grantsOf } from "../harness/tables.ts";
import { createShots, type Shot } from "../harness/tokens.ts";
import { answerOf, startPeer } from "../peers/start.ts";
import { createVerdict, type Findings, type Measure, type Say, type Verdict } from "../report/result.ts";
import { faultsOf, fire } from "./closed-loop.ts";
import { figuresOf } from "./measures.ts";
import { evenly, type Flight, fly, greet, openPool, type Pool, recoveredAt, wire } from "./open-loop.ts";
import { inTurn } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";

interface OverloadOptions {
  [name: string]: number | readonly number[];
  rounds: number;
  /** % of capacity */
  levels: readonly number[];
  /** How long each lasts, s. */
  seconds: number;
  /** Of the pool that the requests go through. */
  connections: number;
  /** How many are asked for in each volley that measures capacity. */
  requests: number;
  /** How long it is watched after the load, s. */
  watch: number;
}

export const overload: Scenario<OverloadOptions> = {
  name: "overload",
  about: "grants asked for at fixed instants, at up to 10 times what the service can do",
  defaults: {
    rounds: 5,
    levels: [50, 100, 200, 500, 1_000],
    seconds: 3,
    connections: 4_000,
    requests: 10_000,
    watch: 2,
  },
  quick: { rounds: 1, levels: [100, 500], seconds: 1, connections: 500, requests: 2_000, watch: 1 },
  check({ connections, requests }) {
    if (requests < CLOSED_LOOP.connections)
      throw new Error(`--requests must be at least ${CLOSED_LOOP.connections}`);
    if (connections < PROBES.inRow) throw new Error(`--connections must be at least ${PROBES.inRow}`);
  },
  run,
};

/** Capacity is what it does for so many who each wait for their answer. */
const CLOSED_LOOP = { connections: 256, volleys: 3 };
/** An asker who found no free connection for so long has gone away. */
const PATIENCE_MS = 2_000;
/** The load that tells how the service feels: before, and after until it feels as before. */
const PROBES = { perSecond: 50, before: 1, connections: 20, inRow: 10 };
const COUNT = 10_000_000;

function run(
  { rounds, levels, seconds, connections, requests, watch }: OverloadOptions,
  say: Say,
): Promise<Findings> {
  return withCleanup(async (later) => {
    say("measuring capacity, closed loop");
    const service = await startService(requests);
    later(service.stop);
    const verdict = createVerdict();
    const capacities = await closedLoop(service, requests, verdict);
    const capacity = median(capacities);
    const rates = levels.map((level) => ({ level, perSecond: (capacity * level) / 100 }));
    const users = Math.ceil(Math.max(...rates.map((rate) => rate.perSecond)) * seconds) + 1_000;
    say(`capacity ${capacity.toFixed(0)} a second; preparing ${users} users and their tokens`);
    await addUsers(service.database, requests + 1, users);
    const shotOf = createShots(service.secret, users);

    const pool = await openPool(service.url, connections);
    later(async () => pool.close());
    const probes = await openPool(service.url, PROBES.connections);
    later(async () => probes.close());
    const limit = await senderLimit(service, shotOf(1, 1), say);

    const setting: Setting = { service, pool, probes, shotOf, seconds, watch, verdict };
    const measured = await inTurn(
      rates,
      rounds,
      async (rate, round) => {
        const run = await underLoad(setting, rate);
        if (round > 0)
          say(
            `${rate.level} %: ${goodputOf(run.flight).toFixed(0)} grants a second of ${run.flight.sentPerSecond.toFixed(0)} sent`,
          );
        return run;
      },
      say,
    );
    await verdict.reconciles(service.database.admin);
    verdict.checks.push(
      "at each level as many rows as answers 201, everything else a 503 with Retry-After, no connection lost, " +
        "reconcile() empty",
    );

    const measures = [...measured].map(([{ level }, runs]) => ({
      group: "",
      name: `${level / 100} × capacity`,
      figures: loadFigures(runs),
    }));
    const closed = { group: "", name: "closed loop", figures: { [GOODPUT]: spread(capacities) } };
    const medianOf = ({ figures }: Pick<Measure, "figures">) => figures[GOODPUT]?.[0] ?? 0;
    const peak = Math.max(medianOf(closed), ...measures.map(medianOf));
    return {
      measures: [closed, ...measures],
      headlines: levels.map((level, i) => ({
        name: `goodput at ${level / 100} times capacity / peak`,
        value: medianOf(measures[i] as (typeof measures)[number]) / peak,
      })),
      checks: verdict.checks,
      failures: verdict.failures,
      notes: [
        `Capacity is what ${CLOSED_LOOP.connections} askers got who each waited for their answer.`,
        `The sender alone, against a bare node:http server, reached ${limit.toFixed(0)} a second on ${connections} ` +
          "connections: what is offered beyond that, or finds all connections waiting for an answer for " +
          `${PATIENCE_MS / 1000} s, is given up without being sent.`,
        "Latency is that of grants, from the instant the request was due. Well again: from the end of the load until " +
          `${PROBES.inRow} probes in a row take no longer than twice the slowest one before it; ${watch} s mean not yet.`,
      ],
    };
  });
}

const GOODPUT = "grants a second";

interface Setting {
  service: Service;
  /** What the load goes through. */
  pool: Pool;
  probes: Pool;
  shotOf: (userId: number, couponId: number) => Shot;
  seconds: number;
  watch: number;
  verdict: Verdict;
}

interface Run {
  perSecond: number;
  /** Requests that were due. */
  due: number;
  flight: Flight;
  /** Memory at its highest, MB. */
  peak: number;
  wellAfter: number;
}

/** Probes, the load at this rate, and probes again from its end on; then the answers are held against the rows. */
async function underLoad(
  { service, pool, probes, shotOf, seconds, watch, verdict }: Setting,
  { level, perSecond }: { level: number; perSecond: number },
): Promise<Run> {
  const { owner, admin } = service.database;
  const { host } = new URL(service.url);
  await emptyTables(owner);
  const couponId = await createCoupon(admin, "overload", 0, COUNT);
  for (const each of [pool, probes]) await greet(each, host);
  let asked = 0;
  let unknown = 0;
  const send = (through: Pool, perSecond: number, seconds: number) =>
    fly(through, {
      due: evenly(perSecond, seconds),
      until: seconds * 1000,
      request: () => wire(shotOf(++asked, couponId), host),
      patience: PATIENCE_MS,
      onAnswer: ({ status, head, body }) => {
        verdict.expect(
          status === 201 || (status === 503 && /\r\nretry-after: *[1-9]/i.test(head)),
          `${level} %: an answer ${status} ${status === 503 ? "without Retry-After" : body}`,
        );
        if (body.includes('"outcome_unknown"')) unknown += 1;
      },
    });

  const before = await send(probes, PROBES.perSecond, PROBES.before);
  const memory = watchMemory(service);
  const load = send(pool, perSecond, seconds);
  // The first probe goes when the load ends, however long its last answers still take.
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const [after, flight] = await Promise.all([send(probes, PROBES.perSecond, watch), load]);
  const peak = await memory.stop();

  const all = [before, flight, after];
  const granted = sum(all.map((one) => one.answers[201]?.took.length ?? 0));
  const lost = sum(all.map((one) => one.lost));
  const { rows, last, issued } = await grantsOf(admin, couponId);
  verdict.expect(
    rows >= granted && rows <= granted + lost + unknown,
    `${level} %: ${rows} rows for ${granted} answers 201 (${lost} connections lost, ${unknown} outcomes unknown)`,
  );
  verdict.equal(`${level} %: last position`, last, rows);
  verdict.equal(`${level} %: coupons.issued`, issued, rows);
  verdict.equal(`${level} %: connections lost`, lost, 0);
  return {
    perSecond,
    due: Math.round(perSecond * seconds),
    flight,
    peak,
    wellAfter: wellAfter(before, after, watch),
  };
}

function loadFigures(runs: readonly Run[]): Measure["figures"] {
  return figuresOf(runs, {
    [GOODPUT]: ({ flight }) => goodputOf(flight),
    "offered a second": ({ perSecond }) => perSecond,
    "sent a second": ({ flight }) => flight.sentPerSecond,
    "p50 ms": ({ flight }) => latencyOf(flight, 0.5),
    "p99 ms": ({ flight }) => latencyOf(flight, 0.99),
    "503 %": ({ flight }) => (100 * (flight.answers[503]?.took.length ?? 0)) / flight.sent,
    "gave up %": ({ flight, due }) => (100 * (due - flight.sent)) / due,
    "memory MB": ({ peak }) => peak,
    "well again s": ({ wellAfter }) => wellAfter,
  });
}

/** Grants a second for askers who each wait for an answer, the first volley to warm up. */
async function closedLoop(service: Service, requests: number, verdict: Verdict): Promise<number[]> {
  const shotOf = createShots(service.secret, requests);
  const rates: number[] = [];
  for (let round = 0; round <= CLOSED_LOOP.volleys; round++) {
    await emptyTables(service.database.owner);
    const couponId = await createCoupon(service.database.admin, "capacity", 0, COUNT);
    const volley = await fire(service.url, requests, CLOSED_LOOP.connections, (index) =>
      shotOf(index + 1, couponId),
    );
    const { rows } = await grantsOf(service.database.admin, couponId);
    verdict.equal("closed loop: rows", rows, requests);
    verdict.failures.push(...faultsOf("closed loop", requests, 201, volley));
    if (round > 0) rates.push(volley.perSecond);
  }
  return rates;
}

/** Requests a second that the sender itself can do: far more is due than any server would answer. */
async function senderLimit(service: Service, shot: Shot, say: Say): Promise<number> {
  const answer = await answerOf(service.url, shot);
  const bare = await startPeer("bare", { secret: service.secret, answer });
  try {
    const pool = await openPool(bare.url, CLOSED_LOOP.connections);
    try {
      const request = wire(shot, new URL(bare.url).host);
      const flood = { due: evenly(100_000, 1), request: () => request, patience: 100 };
      await fly(pool, flood);
      const { sentPerSecond } = await fly(pool, flood);
      say(`the sender alone: ${sentPerSecond.toFixed(0)} a second`);
      return sentPerSecond;
    } finally {
      pool.close();
    }
  } finally {
    await bare.stop();
  }
}

/** All grants by the time that they took, the drain at the end included. */
function goodputOf({ answers }: Flight): number {
  const granted = answers[201];
  if (!granted) return 0;
  const last = granted.due.reduce((latest, due, i) => Math.max(latest, due + (granted.took[i] as number)), 0);
  return (granted.took.length * 1000) / last;
}

function latencyOf({ answers }: Flight, share: number): number {
  return percentile(
    (answers[201]?.took ?? []).toSorted((a, b) => a - b),
    share,
  );
}

/** s from the end of the load until it felt as before; all of the probes' time when it did not. */
function wellAfter(before: Flight, after: Flight, watch: number): number {
  const normal = 2 * Math.max(...(before.answers[201]?.took ?? [0]));
  const due: number[] = [];
  const took: number[] = [];
  for (const [status, answers] of Object.entries(after.answers)) {
    due.push(...answers.due);
    took.push(...answers.took.map((ms) => (status === "201" ? ms : Number.POSITIVE_INFINITY)));
  }
  const ms = recoveredAt(due, took, normal, PROBES.inRow);
  return ms === undefined ? watch : ms / 1000;
}

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);

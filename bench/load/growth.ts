/**
 * Whether the service slows down with age: grants a second with no, a million and ten million grants of earlier days behind
 * it, and as many users, in three databases of one cluster, in turn; by issue_coupons() itself and through the service.
 */
import { connect, type Sql } from "../../db/connect.ts";
import { withCleanup } from "../harness/cleanup.ts";
import { newDatabase, newSecret, startServer } from "../harness/service.ts";
import { sample } from "../harness/stats.ts";
import { createCoupon, grantsOf } from "../harness/tables.ts";
import { issueShot, userToken } from "../harness/tokens.ts";
import {
  createVerdict,
  type Findings,
  type Headline,
  type Measure,
  type Say,
  type Verdict,
} from "../report/result.ts";
import { faultsOf, fire } from "./closed-loop.ts";
import { addHistory } from "./history.ts";
import { figuresOf, medianOf } from "./measures.ts";
import { inTurn } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";

interface GrowthOptions {
  [name: string]: number | readonly number[];
  rounds: number;
  /** Grants of earlier days, and as many users. */
  sizes: readonly number[];
  /** Users at least. */
  users: number;
  /** Grants in each measured piece. */
  rows: number;
  connections: number;
}

export const growth: Scenario<GrowthOptions> = {
  name: "growth",
  about: "grants a second with 0, 1 and 10 million grants of earlier days and as many users",
  defaults: {
    rounds: 5,
    sizes: [0, 1_000_000, 10_000_000],
    users: 100_000,
    rows: 8_000,
    connections: 256,
  },
  quick: { rounds: 1, sizes: [0, 20_000], users: 10_000, rows: 1_000, connections: 64 },
  check({ rounds, users, rows, connections, sizes }) {
    const needed = WAYS.length * (rounds + 1) * rows;
    if (users < needed)
      throw new Error(`--users must be at least ${needed}: nobody is granted twice a day, in no round`);
    if (rows < BATCH || rows < 4 * connections)
      throw new Error(`--rows must be at least ${BATCH}, and four times --connections`);
    if (new Set(sizes).size < sizes.length) throw new Error("--sizes must not repeat a size");
  },
  run,
};

const BATCH = 500;
const COUNT = 10_000_000;
/** Grants of one earlier day's coupon. */
const A_DAY = 100_000;
const WAYS = [`issue_coupons at ${BATCH}`, "service"] as const;

interface Aged {
  grants: number;
  /** Who asks, at random among all users, each once. */
  askers: number[];
  asked: number;
  couponId: number;
  url: string;
  admin: Sql;
  session: Sql;
}

function run(
  { rounds, sizes, users: atLeast, rows, connections }: GrowthOptions,
  say: Say,
): Promise<Findings> {
  return withCleanup(async (later) => {
    const verdict = createVerdict();
    const secret = newSecret();

    const databases: Aged[] = [];
    for (const grants of sizes) {
      const askers = WAYS.length * (rounds + 1) * rows;
      databases.push(await age({ users: Math.max(grants, atLeast), grants, askers, secret }, say, later));
    }

    const contenders = WAYS.flatMap((way) => databases.map((aged) => ({ aged, way })));
    const measured = await inTurn(
      contenders,
      rounds,
      async ({ aged, way }) => {
        const users = aged.askers.slice(aged.asked, aged.asked + rows);
        aged.asked += rows;
        const perSecond =
          way === "service"
            ? await throughService(aged, users, { secret, connections }, verdict)
            : await inBatches(aged.session, users, aged.couponId);
        const { rows: made, last, issued } = await grantsOf(aged.admin, aged.couponId);
        const where = `after ${way} with ${aged.grants} earlier grants`;
        verdict.equal(`rows ${where}`, made, aged.asked);
        verdict.equal(`last position ${where}`, last, aged.asked);
        verdict.equal(`coupons.issued ${where}`, issued, aged.asked);
        return perSecond;
      },
      say,
    );

    for (const { admin, grants } of databases) {
      say(`reconcile() with ${grants.toLocaleString("en")} earlier grants`);
      await verdict.reconciles(admin);
    }
    verdict.checks.push(
      `in each database ${databases[0]?.asked} new rows for as many requests, positions without a gap, reconcile() empty`,
    );

    const measures = [...measured].map(([{ aged, way }, rates]) => ({
      group: way,
      name: nameOf(aged.grants),
      figures: figuresOf(rates, { [RATE]: (rate) => rate }),
    }));
    return {
      measures,
      headlines: ratiosOf(measures, sizes),
      checks: verdict.checks,
      failures: verdict.failures,
      notes: [
        `As many users as earlier grants, at least ${atLeast.toLocaleString("en")}; who asks is drawn at random among all. ` +
          `issue_coupons at ${BATCH}: by one session; service: through ${connections} connections.`,
      ],
    };
  });
}

const RATE = "grants a second";
const nameOf = (grants: number) => `${grants.toLocaleString("en")} earlier grants`;

/** A database with so many users and earlier grants, and a server on it. */
async function age(
  { users, grants, askers, secret }: { users: number; grants: number; askers: number; secret: string },
  say: Say,
  later: (end: () => Promise<unknown>) => void,
): Promise<Aged> {
  say(`a database with ${users.toLocaleString("en")} users, ${nameOf(grants)}`);
  const began = performance.now();
  const database = await newDatabase();
  later(database.drop);
  const session = connect(database.setupUrl, { max: 1, role: "coupon_owner" });
  later(() => session.end({ timeout: 1 }));
  await addHistory(session, users, daysOf(grants), say);
  say(`seeded in ${((performance.now() - began) / 1000).toFixed(0)} s`);
  const server = await startServer(database.apiUrl, { JWT_SECRET: secret });
  later(server.stop);
  return {
    grants,
    askers: sample(askers, users, 1),
    asked: 0,
    couponId: await createCoupon(database.admin, "today", 0, COUNT),
    url: server.url,
    admin: database.admin,
    session,
  };
}

/** So many grants, at most A_DAY of each day. */
function daysOf(grants: number): number[] {
  return Array.from({ length: Math.ceil(grants / A_DAY) }, (_, day) => Math.min(A_DAY, grants - day * A_DAY));
}

/** How each way does with more earlier grants, against the fewest. */
function ratiosOf(measures: readonly Measure[], sizes: readonly number[]): Headline[] {
  const rateOf = (group: string, grants: number) => medianOf(measures, { group, name: nameOf(grants) }, RATE);
  const [none, ...more] = sizes.toSorted((a, b) => a - b) as [number, ...number[]];
  return more.flatMap((grants) =>
    WAYS.map((way) => ({
      name: `${grants.toLocaleString("en")} earlier grants and users / ${none === 0 ? "none" : none.toLocaleString("en")}, ${way}`,
      value: rateOf(way, grants) / rateOf(way, none),
    })),
  );
}

/** Grants a second */
async function throughService(
  { url, couponId }: Aged,
  users: readonly number[],
  { secret, connections }: { secret: string; connections: number },
  { failures }: Verdict,
): Promise<number> {
  const tokens = users.map((userId) => userToken(secret, userId));
  const shot = (index: number) => issueShot(tokens[index] as string, couponId);
  const volley = await fire(url, users.length, connections, shot);
  failures.push(...faultsOf("the service", users.length, 201, volley));
  return volley.perSecond;
}

/** Grants a second */
async function inBatches(session: Sql, users: number[], couponId: number): Promise<number> {
  const began = performance.now();
  for (let i = 0; i < users.length; i += BATCH)
    await session`
      select count(*) from issue_coupons(${couponId}::bigint, ${users.slice(i, i + BATCH).map(String)}::bigint[])`;
  return (users.length * 1000) / (performance.now() - began);
}

/**
 * Whether old coupons leave while a drop goes on: refusals and grants with and without `./sd retire` beside them, in turn, with ten
 * million earlier grants. Then some of ten million users are forgotten, and what is left of the grants is retired as fast as it goes.
 */
import { type Sql, withConnection } from "../../db/connect.ts";
import { withCleanup } from "../harness/cleanup.ts";
import type { Scratch } from "../harness/scratch.ts";
import { newDatabase, newSecret, startServer } from "../harness/service.ts";
import { median, sample } from "../harness/stats.ts";
import { createVerdict, type Findings, type Measure, type Say, type Verdict } from "../report/result.ts";
import { faultsOf, fire } from "./closed-loop.ts";
import { castFrom, type Drop, KINDS, type Kind, openDrop } from "./drop.ts";
import { addHistory } from "./history.ts";
import { figuresOf } from "./measures.ts";
import { type Retiring, retired, startRetiring } from "./retiring.ts";
import { createPace, inTurn } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";

interface RetireOptions {
  [name: string]: number;
  rounds: number;
  connections: number;
  /** About how long each volley takes, ms. */
  volley: number;
  /** Earlier grants, and as many users at least. */
  grants: number;
  /** Reasons in the audit, which forget_user() reads. */
  reasons: number;
  /** Users who are forgotten. */
  forgotten: number;
}

export const retire: Scenario<RetireOptions> = {
  name: "retire",
  about:
    "the drop with and without ./sd retire beside it, ten million earlier grants; then users are forgotten",
  defaults: {
    rounds: 10,
    connections: 64,
    volley: 3_000,
    grants: 10_000_000,
    reasons: 100_000,
    forgotten: 50,
  },
  quick: { rounds: 1, volley: 200, grants: 150_000, reasons: 1_000, forgotten: 5 },
  run,
};

const CAST = castFrom(1, 150_000);
/** Grants of one earlier day's coupon. */
const A_DAY = 100_000;
/** Days before today that are not retired; each has a coupon with one grant. */
const KEPT_DAYS = 35;
/** What retire_coupons() moves out in a step at most, once nobody else is there. */
const STEP = 100_000;

const UNDISTURBED = "undisturbed";
const BESIDE = "beside ./sd retire";

interface Contender {
  kind: Kind;
  name: typeof UNDISTURBED | typeof BESIDE;
}

interface Seen {
  /** Grants or refusals a second. */
  perSecond: number;
  /** Earlier grants that were moved out a second. */
  retired: number;
}

interface Stage {
  database: Scratch;
  url: string;
  connections: number;
  drop: Drop;
  retiring: Retiring;
  verdict: Verdict;
}

function run(options: RetireOptions, say: Say): Promise<Findings> {
  const { rounds, connections, volley, grants, reasons, forgotten } = options;
  return withCleanup(async (later) => {
    const database = await newDatabase();
    later(database.drop);
    const { admin } = database;
    const users = Math.max(CAST.granted + 2 * (rounds + 1) * CAST.most, grants);
    say(`${users.toLocaleString("en")} users, ${grants.toLocaleString("en")} earlier grants`);
    await seed(database, { users, grants, reasons }, say);
    const before = await dayOf(admin);
    const old = await retirable(admin, before);

    const secret = newSecret();
    const server = await startServer(database.apiUrl, { JWT_SECRET: secret });
    later(server.stop);
    const verdict = createVerdict();
    const drop = await openDrop(admin, { secret, cast: CAST, verdict });
    const retiring = await startRetiring(database, before);
    later(retiring.end);

    const stage: Stage = { database, url: server.url, connections, drop, retiring, verdict };
    const pace = createPace(volley, 500, CAST.most);
    const contenders = KINDS.flatMap((kind): Contender[] => [
      { kind, name: UNDISTURBED },
      { kind, name: BESIDE },
    ]);
    const measured = await inTurn(
      contenders,
      rounds,
      (contender) => pace.volley(contender, connections, (requests) => oneVolley(stage, contender, requests)),
      say,
    );
    const isLeft = !retiring.hasEnded();
    verdict.expect(isLeft, "./sd retire was done before the last volley: give more --grants");
    await retiring.end();
    const took = await forget(stage, sample(forgotten, users, 1), say);
    const rest = await retireAll(stage, before, old, say);
    await verdict.reconciles(admin);
    verdict.checks.push(
      `each answer as its coupon allows, as many rows as answers 201, ${forgotten} users forgotten, ` +
        `${old.toLocaleString("en")} grants retired and none of their copies left, reconcile() empty`,
    );
    return findingsOf(verdict, measured, { users, took, rest });
  });
}

/** Makes the past: users, grants long ago, and an audit with reasons that name nobody. */
function seed(
  { setupUrl }: Scratch,
  { users, grants, reasons }: { users: number; grants: number; reasons: number },
  say: Say,
): Promise<void> {
  const days = Array.from({ length: Math.ceil(grants / A_DAY) }, (_, day) =>
    Math.min(A_DAY, grants - day * A_DAY),
  );
  return withConnection(
    setupUrl,
    async (session) => {
      await addHistory(session, users, [...new Array<number>(KEPT_DAYS).fill(1), ...days], say);
      // Past the guard, which keeps anybody from adding a row of another time.
      await session`alter table coupon.audit disable trigger user`;
      await session`
        insert into coupon.audit (at, command, new_values, reason)
        select now() - interval '60 days', 'import_users', '{"created": 0, "updated": 1}', 'the guest at the till wanted another name, slip ' || n
        from generate_series(1, ${reasons}::bigint) n`;
      await session`alter table coupon.audit enable trigger user`;
      await session`vacuum (analyze) coupon.audit`;
    },
    { role: "coupon_owner" },
  );
}

/** The newest day that retire_coupons() takes. */
async function dayOf(admin: Sql): Promise<string> {
  const [row] = await admin`
    select ((now() at time zone s.time_zone)::date - 33)::text as day from coupon.settings s`;
  return row?.["day"];
}

/** How many grants the coupons have that expired before that day. */
async function retirable(admin: Sql, before: string): Promise<number> {
  const [row] = await admin`
    select sum(c.issued)::float8 as grants from coupon.coupons c cross join coupon.settings s
    where c.expiry < ${before}::text::timestamp at time zone s.time_zone`;
  return row?.["grants"];
}

/** Fires at the drop, and compares answers with rows. */
async function oneVolley(stage: Stage, { kind, name }: Contender, requests: number): Promise<Seen> {
  const { url, connections, drop, retiring, verdict } = stage;
  const where = `${kind}, ${name}`;
  const { result: beside, rows } = await drop.volley({ kind, where }, requests, async (shot) => {
    const volley = () => fire(url, requests, connections, shot);
    return name === BESIDE ? retiring.during(volley) : { result: await volley(), perSecond: 0 };
  });
  verdict.failures.push(...faultsOf(where, requests, kind === "grants" ? 201 : 409, beside.result));
  verdict.equal(`${where}: rows`, rows, kind === "grants" ? requests : 0);
  return { perSecond: beside.result.perSecond, retired: beside.perSecond };
}

/** Forgets each, and returns how long each took, ms. */
async function forget(
  { database: { admin }, verdict }: Stage,
  users: readonly number[],
  say: Say,
): Promise<number[]> {
  say(`forgetting ${users.length} users`);
  const took: number[] = [];
  for (const user of users) {
    const began = performance.now();
    const [row] = await admin`select outcome from forget_user(${user}::bigint)`;
    took.push(performance.now() - began);
    verdict.equal(`forget_user(${user})`, row?.["outcome"], "forgotten");
  }
  return took;
}

/** Retires what is left, as fast as it goes; returns how many grants, and how long it took, s. */
async function retireAll(
  { database: { admin }, verdict }: Stage,
  before: string,
  old: number,
  say: Say,
): Promise<{ grants: number; seconds: number }> {
  const [began, from] = [performance.now(), await retired(admin)];
  say(`retiring the other ${(old - from).toLocaleString("en")} grants`);
  const step = async () => {
    const [done] = await admin`select outcome from retire_coupons(${before}::text::date, ${STEP}::integer)`;
    return done?.["outcome"];
  };
  while ((await step()) !== "done");
  const seconds = (performance.now() - began) / 1_000;
  const grants = (await retired(admin)) - from;
  verdict.equal("grants that were retired", from + grants, old);
  const [left] = await admin`
    select
      (select count(*)::integer from coupon.user_coupons g where g.coupon_id in (select r.coupon_id from coupon.retired_coupons r)) as grants,
      (select count(*)::integer from coupon.past_grants p where p.coupon_id in (select r.coupon_id from coupon.retired_coupons r)) as copies`;
  verdict.equal("grants left of retired coupons", left?.["grants"], 0);
  verdict.equal("copies left of retired grants", left?.["copies"], 0);
  return { grants, seconds };
}

function findingsOf(
  { checks, failures }: Verdict,
  measured: Map<Contender, Seen[]>,
  { users, took, rest }: { users: number; took: number[]; rest: { grants: number; seconds: number } },
): Findings {
  const rate = (kind: Kind, name: Contender["name"]) =>
    median(
      [...measured]
        .filter(([contender]) => contender.kind === kind && contender.name === name)
        .flatMap(([, volleys]) => volleys.map(({ perSecond }) => perSecond)),
    );
  const drop = [...measured].map(
    ([{ kind, name }, volleys]): Measure => ({
      group: kind,
      name,
      figures: figuresOf(volleys, {
        "a second": ({ perSecond }) => perSecond,
        ...(name === BESIDE ? { "grants retired a second": ({ retired }: Seen) => retired } : {}),
      }),
    }),
  );
  const all = users.toLocaleString("en");
  const { grants, seconds } = rest;
  return {
    measures: [
      ...drop,
      {
        group: `forget_user(), ${all} users`,
        name: `${took.length} users`,
        figures: figuresOf(took, { "ms each": (ms) => ms }),
      },
    ],
    headlines: [
      ...KINDS.map((kind) => ({
        name: `${kind} ${BESIDE} / ${UNDISTURBED}`,
        value: rate(kind, BESIDE) / rate(kind, UNDISTURBED),
      })),
      { name: `one of ${all} users forgotten`, value: median(took), unit: "ms" },
      { name: `one of ${all} users forgotten, the slowest`, value: Math.max(...took), unit: "ms" },
    ],
    checks,
    failures,
    notes: [
      `./sd retire stands still (SIGSTOP) where the drop is undisturbed. Then, alone and ${STEP.toLocaleString("en")} a step, the other ` +
        `${grants.toLocaleString("en")} grants and all copies in past_grants were retired in ${seconds.toFixed(0)} s.`,
    ],
  };
}

/**
 * Whether a few users can take the drop away from everybody else: refusals and grants, with and without each attack beside them, in
 * turn. Meanwhile probes ask whether the server is ready, and use coupons.
 */
import { withConnection } from "../../db/connect.ts";
import { withCleanup } from "../harness/cleanup.ts";
import type { Scratch } from "../harness/scratch.ts";
import { newDatabase, newSecret, readMetric, startServer } from "../harness/service.ts";
import { median } from "../harness/stats.ts";
import { createCoupon } from "../harness/tables.ts";
import { issueShot, type Shot, userToken } from "../harness/tokens.ts";
import { createVerdict, type Findings, type Say, type Verdict } from "../report/result.ts";
import { AS_MANY, ATTACKERS, type Attack, createAttacks, during, ENDED, UNDISTURBED } from "./attacks.ts";
import { fire } from "./closed-loop.ts";
import { castFrom, type Drop, KINDS, type Kind, openDrop } from "./drop.ts";
import { addHistory } from "./history.ts";
import { figuresOf } from "./measures.ts";
import { type Probed, probe } from "./probe.ts";
import { createPace, inTurn } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";

interface CrowdOptions {
  [name: string]: number;
  rounds: number;
  connections: number;
  /** About how long each volley takes, ms. */
  volley: number;
  /** Earlier days, each with a coupon that has ended. */
  days: number;
  /** Grants of yesterday's coupon. */
  grants: number;
}

export const crowd: Scenario<CrowdOptions> = {
  name: "crowd",
  about: "the drop beside users who ask for ended coupons, wallets and statistics within their limits",
  defaults: { rounds: 9, connections: 64, volley: 3_000, days: 3_650, grants: 3_000_000 },
  quick: { rounds: 1, volley: 200, days: 300, grants: 20_000 },
  check({ days }) {
    if (days <= ENDED)
      throw new Error(`--days must be more than ${ENDED}: so many ended coupons are asked for`);
  },
  run,
};

/** Who is in the drop, after the attackers. */
const CAST = castFrom(ATTACKERS + 1, 75_000);
/** Grants of each day before yesterday. */
const A_DAY = 50;
/** Volleys of grants in a round: undisturbed, beside as many refusals, and beside all attacks but one. */
const GRANTING = 6;
/** Probes a second. */
const READY = 10;
const USES = 5;

interface Contender {
  kind: Kind;
  attack: Attack;
}

/** What one volley showed. */
interface Seen {
  /** Grants or refusals a second. */
  perSecond: number;
  /** Claims that a lease answered, the attack's included, %. */
  leased: number;
  ready: Probed;
  uses: Probed;
  /** Answers to the attack a second. */
  attack: number;
}

interface Stage {
  database: Scratch;
  url: string;
  secret: string;
  connections: number;
  drop: Drop;
  verdict: Verdict;
}

function run({ rounds, connections, volley, days, grants }: CrowdOptions, say: Say): Promise<Findings> {
  return withCleanup(async (later) => {
    const database = await newDatabase();
    later(database.drop);
    const users = Math.max(CAST.granted + GRANTING * (rounds + 1) * CAST.most, Math.ceil(grants * 1.3));
    const [allUsers, allDays, allGrants] = [users, days, grants].map((n) => n.toLocaleString("en"));
    say(`${allUsers} users, ${allDays} earlier days, ${allGrants} grants of yesterday`);
    const past = await seed(database, users, [grants, ...new Array<number>(days - 1).fill(A_DAY)], say);
    const secret = newSecret();
    const { url, stop } = await startServer(database.apiUrl, { JWT_SECRET: secret });
    later(stop);

    const { admin } = database;
    const verdict = createVerdict();
    const drop = await openDrop(admin, { secret, cast: CAST, verdict });
    const [yesterday = 0, ...ended] = past;
    const other = await createCoupon(admin, "other", -2, 1);
    const attacks = createAttacks({ secret, ended, big: yesterday, other, soldOut: drop.coupons.refusals });
    const stage: Stage = { database, url, secret, connections, drop, verdict };

    const pace = createPace(volley, 500, CAST.most);
    const contenders = attacks.flatMap((attack) => attack.beside.map((kind) => ({ kind, attack })));
    const measured = await inTurn(
      contenders,
      rounds,
      (contender) => pace.volley(contender, connections, (requests) => oneVolley(stage, contender, requests)),
      say,
    );
    return findingsOf(stage, measured);
  });
}

/** Makes the past; answers the coupons of its days, yesterday's first. */
async function seed(
  { setupUrl }: Scratch,
  users: number,
  days: readonly number[],
  say: Say,
): Promise<number[]> {
  return withConnection(
    setupUrl,
    async (session) => {
      await addHistory(session, users, days, say);
      const coupons = await session`select id::integer from coupon.coupons order by start_time desc`;
      return coupons.map((row) => row["id"] as number);
    },
    { role: "coupon_owner" },
  );
}

/** Fires at the drop while the attack and the probes go on, and compares answers with rows. */
async function oneVolley(stage: Stage, { kind, attack }: Contender, requests: number): Promise<Seen> {
  const { database, url, drop, verdict } = stage;
  const where = `${kind} beside ${attack.name}`;
  const { result: beside, rows } = await drop.volley({ kind, where }, requests, (shot) =>
    during(attack, { url, adminUrl: database.adminUrl }, () => volleyAt(stage, requests, shot)),
  );
  const { volley, leased, ready, uses, unknown } = beside.result;
  const { flight } = beside;

  const [granted = 0, refused = 0, overloaded = 0] = [201, 409, 503].map((status) => volley.statuses[status]);
  verdict.equal(`${where}: connections lost`, volley.errors, 0);
  verdict.equal(`${where}: answers`, (kind === "grants" ? granted : refused) + overloaded, requests);
  verdict.expect(
    rows >= granted && rows <= granted + unknown,
    `${where}: ${rows} rows for ${granted} answers 201 (${unknown} outcomes unknown)`,
  );
  return {
    perSecond: (volley.perSecond * (kind === "grants" ? rows : refused)) / requests,
    leased,
    ready,
    uses,
    attack: (1_000 * sumOf(Object.values(flight.answers), ({ took }) => took.length)) / (flight.ended || 1),
  };
}

async function volleyAt(
  { url, secret, connections, drop }: Stage,
  requests: number,
  shot: (index: number) => Shot,
) {
  const end = new AbortController();
  const ready = probe(url, READY, () => READYZ, end.signal);
  const uses = probe(url, USES, (sent) => useShot(secret, drop.coupons.refusals, sent), end.signal);
  const claims = () => Promise.all([LEASED, CLAIMED].map((series) => readMetric(url, secret, series)));
  const [leasedBefore = 0, claimedBefore = 0] = await claims();
  let unknown = 0;
  const volley = await fire(url, requests, connections, shot, {
    onAnswer(_, { status, body }) {
      if (status === 503 && body.includes('"outcome_unknown"')) unknown += 1;
    },
  });
  const [leased = 0, claimed = 0] = await claims();
  end.abort();
  return {
    volley,
    unknown,
    leased: (100 * (leased - leasedBefore)) / (claimed - claimedBefore),
    ready: await ready,
    uses: await uses,
  };
}

/** Claims that a lease answered, and all that were answered. */
const LEASED = "coupon_lease_hits_total ";
const CLAIMED = 'coupon_outcomes_total{command="issue_coupon",';
const READYZ: Shot = { method: "GET", path: "/readyz", headers: {}, body: "" };

/** Each holder uses the sold-out coupon once; after the last one it is the first one's retry. */
function useShot(secret: string, couponId: number, sent: number): Shot {
  const token = userToken(secret, CAST.holders.first + (sent % CAST.holders.count));
  return { ...issueShot(token, couponId), path: `/coupons/${couponId}/use`, body: '{"reference":"probe"}' };
}

async function findingsOf({ database, verdict }: Stage, measured: Map<Contender, Seen[]>): Promise<Findings> {
  await verdict.reconciles(database.admin);
  verdict.checks.push(
    "each answer a grant, a refusal or 503 as its coupon allows, as many rows as answers 201, reconcile() empty",
  );
  const all = [...measured].map(([{ kind, attack }, volleys]) => ({ kind, name: attack.name, volleys }));
  const rateOf = (kind: Kind, name: string) =>
    median(
      (all.find((each) => each.kind === kind && each.name === name)?.volleys ?? []).map(
        ({ perSecond }) => perSecond,
      ),
    );
  const ratio = (kind: Kind, name: string, to: string) => ({
    name: `${kind} beside ${name} / ${to}`,
    value: rateOf(kind, name) / rateOf(kind, to),
  });
  const ratios = all
    .filter(({ name }) => name !== UNDISTURBED)
    .map(({ kind, name }) => ratio(kind, name, UNDISTURBED));
  const many = KINDS.map((kind) => ratio(kind, `${ENDED} ended coupons`, AS_MANY));
  const seen = all.flatMap(({ volleys }) => volleys);
  const failures = (name: string, probes: readonly Probed[]) => ({
    name,
    value: (100 * sumOf(probes, ({ failed }) => failed)) / sumOf(probes, ({ sent }) => sent),
    unit: "%",
  });
  return {
    measures: all.map(({ kind, name, volleys }) => ({
      group: kind,
      name,
      figures: figuresOf(volleys, {
        "a second": ({ perSecond }) => perSecond,
        ...(kind === "refusals" ? { "from leases %": ({ leased }: Seen) => leased } : {}),
        "slowest use ms": ({ uses }) => uses.slowest,
        "uses failed %": ({ uses }) => (100 * uses.failed) / uses.sent,
        "not ready %": ({ ready }) => (100 * ready.failed) / ready.sent,
        "attack's answers a second": ({ attack }) => attack,
      }),
    })),
    headlines: [
      ...ratios,
      ...many,
      failures(
        "uses that failed",
        seen.map(({ uses }) => uses),
      ),
      failures(
        "answers of /readyz other than 200",
        seen.map(({ ready }) => ready),
      ),
    ],
    checks: verdict.checks,
    failures: verdict.failures,
    notes: [
      "No user sends more than RATE_LIMIT allows: four users suffice for 16 ended coupons, 53 for 284. A claim held in psql is an open " +
        "transaction with the issuing lock, so that no grant can be made meanwhile, and 10 users who ask for ended coupons. " +
        `${AS_MANY} a second of the drop's own coupon are no attack: they show what so many requests cost whatever they ask for.`,
    ],
  };
}

function sumOf<Value>(values: readonly Value[], of: (value: Value) => number): number {
  return values.reduce((sum, value) => sum + of(value), 0);
}

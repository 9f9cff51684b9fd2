/**
 * The drop itself: a burst of issue requests at a coupon that goes live in the middle of it. Ends by comparing the answers
 * with the database; any wrong number is a failure.
 */
import type { Sql } from "../../db/connect.ts";
import { startService } from "../harness/service.ts";
import { shuffled, spread } from "../harness/stats.ts";
import { createCoupon } from "../harness/tables.ts";
import { createShots } from "../harness/tokens.ts";
import { createVerdict, type Findings, type Say, type Timeline } from "../report/result.ts";
import { fire, type Volley } from "./closed-loop.ts";
import type { Scenario } from "./scenario.ts";

interface BurstOptions {
  [name: string]: number;
  requests: number;
  users: number;
  connections: number;
  count: number;
  seed: number;
}

export const burst: Scenario<BurstOptions> = {
  name: "burst",
  about: "the drop: a coupon of few units goes live in the middle of a burst of issue requests",
  defaults: { requests: 500_000, users: 250_000, connections: 250, count: 25, seed: 1 },
  quick: { requests: 10_000, users: 5_000, connections: 100 },
  check({ requests, users, connections, count }) {
    if (requests < connections) throw new Error("--requests must be at least --connections");
    if (users > requests) throw new Error("--users must be at most --requests");
    if (count >= users) throw new Error("--count must be less than --users, or nobody is refused");
  },
  run,
};

interface Told {
  outcome: string;
  user_id: number;
  position?: number;
  issued_at?: string;
}

/** All answers; half a million of them, so what each says is kept only where it was granted. */
interface Answers {
  status: Uint16Array;
  outcome: string[];
  sentAt: Float64Array;
  answeredAt: Float64Array;
  /** What was told with 201 and 200, by request. */
  told: Map<number, Told>;
  /** Requests that were told of another user. */
  ofOthers: number;
}

async function run(options: BurstOptions, say: Say): Promise<Findings> {
  const { requests, users, connections, count, seed } = options;
  say(`preparing ${users} users and their tokens`);
  const service = await startService(users);
  try {
    const { admin } = service.database;
    const shotOf = createShots(service.secret, users);
    // Everybody asks equally often, in an order that the seed gives.
    const askers = shuffled(
      Array.from({ length: requests }, (_, i) => (i % users) + 1),
      seed,
    );
    const shotAt = (couponId: number) => (index: number) => shotOf(askers[index] as number, couponId);

    // A coupon of tomorrow warms everything up and tells how long the burst will take.
    const rehearsal = await createCoupon(admin, "rehearsal", 86_400, count + 1);
    const some = Math.max(connections, Math.min(30_000, Math.ceil(requests / 5)));
    await fire(service.url, some, connections, shotAt(rehearsal));
    const { perSecond } = await fire(service.url, some, connections, shotAt(rehearsal));
    // Not half of it: the drop finds everything warmer than the rehearsal did, and is faster.
    const startsIn = (requests / perSecond) * 0.4;
    say(
      `rehearsal: ${perSecond.toFixed(0)} requests a second; the coupon goes live in ${startsIn.toFixed(2)} s`,
    );

    const startsAt = performance.now() + startsIn * 1000;
    const couponId = await createCoupon(admin, "drop", startsIn, count);
    const answers: Answers = {
      status: new Uint16Array(requests),
      outcome: new Array(requests),
      sentAt: new Float64Array(requests),
      answeredAt: new Float64Array(requests),
      told: new Map(),
      ofOthers: 0,
    };
    const volley = await fire(service.url, requests, connections, shotAt(couponId), {
      onAnswer(index, { status, body, sentAt, answeredAt }) {
        const told = parse(body);
        answers.status[index] = status;
        answers.outcome[index] = told.outcome;
        answers.sentAt[index] = sentAt;
        answers.answeredAt[index] = answeredAt;
        if (status === 201 || status === 200) answers.told.set(index, told);
        if (told.user_id !== askers[index]) answers.ofOthers += 1;
      },
      onTick: (answered) => say(`${answered} of ${requests} answered`),
    });
    return await verify(admin, couponId, options, askers, answers, volley, startsAt);
  } finally {
    await service.stop();
  }
}

/** Everything that must hold after a drop. */
async function verify(
  admin: Sql,
  couponId: number,
  { requests, count }: BurstOptions,
  askers: number[],
  answers: Answers,
  volley: Volley,
  startsAt: number,
): Promise<Findings> {
  const verdict = createVerdict();
  const { expect, equal } = verdict;

  const rows = await admin`
    select user_id::integer, position,
      replace((issued_at at time zone 'UTC')::text, ' ', 'T') || 'Z' as issued_at
    from coupon.user_coupons
    where coupon_id = ${couponId}
    order by position
  `;
  const [coupon] = await admin`
    select issued, extract(epoch from time_to_sell_out)::float8 as seconds from coupon_stats(${couponId})`;
  const broken = await admin`select * from reconcile()`;
  const holders = new Map(rows.map((row) => [row["user_id"] as number, row]));

  equal("answers", volley.requests, requests);
  equal("connections failed", volley.errors - volley.timeouts, 0);
  equal("requests without an answer in time", volley.timeouts, 0);
  equal("rows", rows.length, count);
  equal("coupons.issued", coupon?.["issued"], count);
  equal("users who hold it", holders.size, rows.length);
  equal("answers that tell of another user", answers.ofOthers, 0);
  rows.forEach((row, i) => {
    equal(`position at place ${i + 1}`, row["position"], i + 1);
  });
  expect(broken.length === 0, `reconcile() returned ${JSON.stringify(broken)}`);

  const granted = [...answers.told]
    .filter(([index]) => answers.status[index] === 201)
    .map(([index, told]) => ({
      ...told,
      sentAt: answers.sentAt[index] as number,
      answeredAt: answers.answeredAt[index] as number,
    }));
  const grantOf = new Map(granted.map((grant) => [grant.user_id, grant]));
  equal("answers 201", granted.length, count);
  equal("users with an answer 201", grantOf.size, granted.length);

  // First come, first served: nobody was answered with a later position before an earlier one was even asked for.
  let laterAnsweredAt = Number.POSITIVE_INFINITY;
  for (const { position, sentAt, answeredAt } of granted.toSorted(
    (a, b) => (b.position ?? 0) - (a.position ?? 0),
  )) {
    expect(sentAt <= laterAnsweredAt, `position ${position} was asked for after a later one was answered`);
    laterAnsweredAt = Math.min(laterAnsweredAt, answeredAt);
  }

  // Whatever was sent after this answer came was sent after the start.
  let firstGrantAt = Number.POSITIVE_INFINITY;
  let soldOutAt = Number.POSITIVE_INFINITY;
  for (const grant of granted) firstGrantAt = Math.min(firstGrantAt, grant.answeredAt);
  for (let i = 0; i < requests; i++)
    if (answers.outcome[i] === "sold_out") soldOutAt = Math.min(soldOutAt, answers.answeredAt[i] as number);

  const tally: Record<string, number> = {};
  let before = 0;
  for (let i = 0; i < requests; i++) {
    const [status, outcome, sentAt] = [answers.status[i], answers.outcome[i], answers.sentAt[i] as number];
    const key = `${status} ${outcome}`;
    tally[key] = (tally[key] ?? 0) + 1;
    if ((answers.answeredAt[i] as number) < firstGrantAt) before += 1;
    const userId = askers[i] as number;
    if (status === 201 || status === 200) {
      const told = answers.told.get(i);
      const row = holders.get(userId);
      const same = row && row["position"] === told?.position && row["issued_at"] === told?.issued_at;
      expect(
        outcome === (status === 201 ? "issued" : "already_issued") && same === true,
        `request ${i}: ${status} ${JSON.stringify(told)} has no such row`,
      );
      expect(status !== 201 || sentAt <= soldOutAt, `request ${i} was granted after a sold_out`);
    } else if (key === "409 not_started") {
      expect(sentAt <= firstGrantAt, `request ${i}: not_started after a grant`);
    } else if (key === "409 sold_out") {
      const grant = grantOf.get(userId);
      expect(!grant || sentAt <= grant.answeredAt, `request ${i}: a holder is told sold_out`);
    } else {
      verdict.failures.push(`request ${i}: ${key}`);
    }
  }
  const share = before / requests;
  expect(
    share > 0.05 && share < 0.95,
    `it went live at ${(share * 100).toFixed(0)} % of the burst: run it again`,
  );
  verdict.checks.push(
    `${count} rows, positions 1 to ${count}, ${count} answers 201 that match them, nobody twice, ` +
      "every other answer a correct refusal or replay, in order of arrival, reconcile() empty",
  );

  const { latency } = volley;
  return {
    measures: [
      {
        group: "",
        name: "the drop",
        figures: {
          "answers a second": spread([requests / volley.seconds]),
          "p50 ms": spread([latency.p50]),
          "p90 ms": spread([latency.p90]),
          "p99 ms": spread([latency.p99]),
          "p99.9 ms": spread([latency.p999]),
          "max ms": spread([latency.max]),
        },
      },
    ],
    headlines: [
      {
        name: "from start_time to the last grant, by the database clock",
        value: (coupon?.["seconds"] ?? Number.NaN) * 1000,
        unit: "ms",
      },
    ],
    checks: verdict.checks,
    failures: verdict.failures,
    notes: [`It went live after ${(share * 100).toFixed(0)} % of the answers.`],
    answers: tally,
    timeline: timelineOf(answers, startsAt, soldOutAt),
  };
}

const SLICE_MS = 100;

/** How many were answered what in each tenth of a second. */
function timelineOf({ outcome, sentAt, answeredAt }: Answers, startsAt: number, soldOutAt: number): Timeline {
  let began = Number.POSITIVE_INFINITY;
  let ended = 0;
  for (let i = 0; i < outcome.length; i++) {
    if (!answeredAt[i]) continue;
    began = Math.min(began, sentAt[i] as number);
    ended = Math.max(ended, answeredAt[i] as number);
  }
  const slices = Math.max(1, Math.ceil((ended - began) / SLICE_MS));
  const answers: Record<string, number[]> = {};
  const slowest = new Array<number>(slices).fill(0);
  for (let i = 0; i < outcome.length; i++) {
    if (!answeredAt[i]) continue;
    const slice = Math.min(slices - 1, Math.floor(((answeredAt[i] as number) - began) / SLICE_MS));
    const name = outcome[i] as string;
    answers[name] ??= new Array<number>(slices).fill(0);
    answers[name][slice] = (answers[name][slice] ?? 0) + 1;
    const ms = (answeredAt[i] as number) - (sentAt[i] as number);
    slowest[slice] = Math.max(slowest[slice] as number, Math.round(ms));
  }
  const seconds = (instant: number) => Number(((instant - began) / 1000).toFixed(3));
  return {
    slice: SLICE_MS / 1000,
    startTime: seconds(startsAt),
    soldOutAt: seconds(soldOutAt),
    answers,
    slowest,
  };
}

function parse(body: Buffer): Told {
  const text = body.toString();
  try {
    return JSON.parse(text);
  } catch {
    return { outcome: `no JSON: ${text.slice(0, 80)}`, user_id: 0 };
  }
}

/**
 * The drop itself: a burst of issue requests at a coupon that goes live in the middle of it. Ends by comparing the answers
 * with the database; any wrong number is a failure.
 */
import { type Service, startService } from "../harness/service.ts";
import { shuffled, spread } from "../harness/stats.ts";
import { createCoupon, emptyTables } from "../harness/tables.ts";
import { createShots, type Shot } from "../harness/tokens.ts";
import type { Findings, Measure, Say } from "../report/result.ts";
import { createAnswers, note, startOf, wholeOf } from "./answers.ts";
import { verify } from "./burst-verdict.ts";
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

/** Attempts at a coupon that goes live amid its burst: what else this machine does may make that faster or slower than its rehearsal. */
const ATTEMPTS = 3;

async function run(options: BurstOptions, say: Say): Promise<Findings> {
  say(`preparing ${options.users} users and their tokens`);
  const service = await startService(options.users);
  try {
    const crowd = crowdOf(service, options);
    for (let attempt = 1; ; attempt++) {
      const { verdict, tally, share, sellOut, volley, timeline } = await oneDrop(
        service,
        crowd,
        options,
        say,
      );
      const isAmid = share > 0.05 && share < 0.95;
      const at = `it went live at ${(share * 100).toFixed(0)} % of the burst`;
      if (!isAmid && verdict.failures.length === 0 && attempt < ATTEMPTS) {
        say(`${at}: once more`);
        await emptyTables(service.database.owner);
        continue;
      }
      verdict.expect(isAmid, `${at}, in the last of ${attempt} attempts`);
      return {
        measures: [measureOf(options.requests, volley)],
        headlines: [
          { name: "from start_time to the last grant, by the database clock", value: sellOut, unit: "ms" },
        ],
        checks: verdict.checks,
        failures: verdict.failures,
        notes: [`It went live after ${(share * 100).toFixed(0)} % of the answers.`],
        answers: tally,
        timeline,
      };
    }
  } finally {
    await service.stop();
  }
}

interface Crowd {
  /** Who asks, by request: everybody equally often, in an order that the seed gives. */
  askers: readonly number[];
  shotOf: (userId: number, couponId: number) => Shot;
}

function crowdOf({ secret }: Service, { requests, users, seed }: BurstOptions): Crowd {
  const inTurn = Array.from({ length: requests }, (_, i) => (i % users) + 1);
  return { askers: shuffled(inTurn, seed), shotOf: createShots(secret, users) };
}

/** A rehearsal, and a burst in which a coupon goes live at the time that the rehearsal told. */
async function oneDrop(
  service: Service,
  { askers, shotOf }: Crowd,
  { requests, connections, count }: BurstOptions,
  say: Say,
) {
  const { admin } = service.database;
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

  const couponId = await createCoupon(admin, "drop", startsIn, count);
  const answers = createAnswers(requests);
  const volley = await fire(service.url, requests, connections, shotAt(couponId), {
    onAnswer: (index, answer) => note(answers, index, askers[index] as number, answer),
    onTick: (answered) => say(`${answered} of ${requests} answered`),
  });
  const { startsAt, ...found } = await verify(admin, { couponId, count, askers, answers, volley });
  const timeline = {
    sellOut: found.sellOut,
    whole: wholeOf(answers, startsAt),
    start: startOf(answers, startsAt),
  };
  return { ...found, volley, timeline };
}

function measureOf(requests: number, { seconds, latency }: Volley): Measure {
  return {
    group: "",
    name: "the drop",
    figures: {
      "answers a second": spread([requests / seconds]),
      "p50 ms": spread([latency.p50]),
      "p90 ms": spread([latency.p90]),
      "p99 ms": spread([latency.p99]),
      "p99.9 ms": spread([latency.p999]),
      "max ms": spread([latency.max]),
    },
  };
}

/**
 * The drop itself: a burst of issue requests at a coupon that goes live in the middle of it. Ends by comparing the answers
 * with the database; any wrong number is a failure.
 */
import { randomInt } from "node:crypto";
import { type Answer, fire, type Shot, type Volley } from "./load.ts";
import { startService } from "./service.ts";

export interface BurstOptions {
  requests: number;
  users: number;
  connections: number;
  count: number;
  seed: number;
}

export const defaults: BurstOptions = {
  requests: 100_000,
  users: 50_000,
  connections: 250,
  count: 25,
  seed: 0,
};
export const quick: Partial<BurstOptions> = { requests: 10_000, users: 5_000, connections: 100 };

interface Told {
  outcome: string;
  user_id: number;
  position?: number;
  issued_at?: string;
}

export interface BurstResult {
  options: BurstOptions;
  volley: Volley;
  /** "status outcome" → how many. */
  answers: Record<string, number>;
  /** Share of the answers that came before the first grant. */
  before: number;
  /** From start_time to the last grant, s by the database clock. */
  secondsToSellOut: number;
  failures: string[];
}

export async function burst(options: BurstOptions, say: (line: string) => void): Promise<BurstResult> {
  const seed = options.seed || randomInt(1, 2 ** 31);
  say(
    `${options.requests} requests of ${options.users} users on ${options.connections} connections, seed ${seed}`,
  );
  say(`preparing users and tokens`);
  const service = await startService(options.users);
  try {
    const tokens = await Promise.all(Array.from({ length: options.users }, (_, i) => service.token(i + 1)));
    // Everybody asks equally often, in an order that the seed gives.
    const askers = shuffled(
      Array.from({ length: options.requests }, (_, i) => (i % options.users) + 1),
      seed,
    );
    const shotsAt = (couponId: number, users: number[]): Shot[] =>
      users.map((userId) => ({
        method: "POST",
        path: `/coupons/${couponId}/issue`,
        headers: { authorization: `Bearer ${tokens[userId - 1]}`, "content-type": "application/json" },
        body: "{}",
      }));

    // A coupon of tomorrow warms everything up and tells how long the burst will take.
    const rehearsal = await createCoupon(service.database.admin, "rehearsal", 86_400, options.count + 1);
    const warm = Math.max(options.connections, Math.ceil(options.requests / 5));
    const volleys: Volley[] = [];
    for (const part of [warm, warm])
      volleys.push(
        await fire(service.url, shotsAt(rehearsal, askers.slice(0, part)), options.connections, () => {}),
      );
    const { perSecond } = volleys[1] as Volley;
    const startsIn = options.requests / perSecond / 2;
    say(
      `rehearsal: ${perSecond.toFixed(0)} requests a second; the coupon goes live in ${startsIn.toFixed(2)} s`,
    );

    const couponId = await createCoupon(service.database.admin, "drop", startsIn, options.count);
    const answers: (Answer & { told: Told })[] = new Array(options.requests);
    const volley = await fire(
      service.url,
      shotsAt(couponId, askers),
      options.connections,
      (index, answer) => {
        answers[index] = { ...answer, told: parse(answer.body) };
      },
      (answered) => say(`${answered} of ${options.requests} answered`),
    );
    return {
      options: { ...options, seed },
      volley,
      ...(await verify(service.database.admin, couponId, options, askers, answers, volley)),
    };
  } finally {
    await service.stop();
  }
}

type Admin = Awaited<ReturnType<typeof startService>>["database"]["admin"];

async function createCoupon(admin: Admin, code: string, startsIn: number, count: number): Promise<number> {
  const [made] = await admin`
    select outcome, coupon_id::integer
    from create_coupon(
      code => ${code}::text, message => 'bench', description => '',
      start_time => clock_timestamp() + make_interval(secs => ${startsIn}::float8),
      expiry => clock_timestamp() + interval '2 days', count => ${count}::integer)
  `;
  if (made?.["outcome"] !== "created") throw new Error(`no coupon: ${made?.["outcome"]}`);
  return made["coupon_id"];
}

/** Everything that must hold after a drop; what doesn't is a sentence in `failures`. */
async function verify(
  admin: Admin,
  couponId: number,
  options: BurstOptions,
  askers: number[],
  answers: (Answer & { told: Told })[],
  volley: Volley,
) {
  const failures: string[] = [];
  const expect = (holds: boolean, sentence: string) => {
    if (!holds) failures.push(sentence);
  };

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

  expect(volley.errors === 0, `${volley.errors} connection errors`);
  expect(answers.filter(Boolean).length === options.requests, `${answers.filter(Boolean).length} answers`);
  expect(rows.length === options.count, `${rows.length} rows for count ${options.count}`);
  expect(coupon?.["issued"] === options.count, `coupons.issued is ${coupon?.["issued"]}`);
  expect(holders.size === rows.length, "somebody holds it twice");
  rows.forEach((row, i) => {
    expect(row["position"] === i + 1, `position ${row["position"]} stands at place ${i + 1}`);
  });
  expect(broken.length === 0, `reconcile() returned ${JSON.stringify(broken)}`);

  const tally: Record<string, number> = {};
  const granted = answers.filter((answer) => answer.status === 201);
  expect(granted.length === options.count, `${granted.length} answers 201`);
  expect(
    new Set(granted.map((answer) => answer.told.user_id)).size === granted.length,
    "a user has two answers 201",
  );

  // First come, first served: nobody was answered with a later position before an earlier one was even asked for.
  let laterAnsweredAt = Number.POSITIVE_INFINITY;
  for (const { told, sentAt, answeredAt } of granted.toSorted(
    (a, b) => (b.told.position ?? 0) - (a.told.position ?? 0),
  )) {
    expect(
      sentAt <= laterAnsweredAt,
      `position ${told.position} was asked for after a later one was answered`,
    );
    laterAnsweredAt = Math.min(laterAnsweredAt, answeredAt);
  }

  // Whatever was sent after this answer came was sent after the start.
  const firstGrantAt = Math.min(...granted.map((answer) => answer.answeredAt));
  const soldOutAt = Math.min(
    ...answers.filter((a) => a.told.outcome === "sold_out").map((a) => a.answeredAt),
  );
  for (const [i, { status, told, sentAt }] of answers.entries()) {
    const key = `${status} ${told.outcome}`;
    tally[key] = (tally[key] ?? 0) + 1;
    const userId = askers[i] as number;
    const row = holders.get(userId);
    if (told.user_id !== userId)
      failures.push(`request ${i} of user ${userId} is told of user ${told.user_id}`);
    if (status === 201 || status === 200) {
      const wanted = status === 201 ? "issued" : "already_issued";
      const same = row && row["position"] === told.position && row["issued_at"] === told.issued_at;
      if (told.outcome !== wanted || !same)
        failures.push(`request ${i}: ${status} ${JSON.stringify(told)} has no such row`);
      if (status === 201 && sentAt > soldOutAt) failures.push(`request ${i} was granted after a sold_out`);
    } else if (status === 409 && told.outcome === "not_started") {
      if (sentAt > firstGrantAt) failures.push(`request ${i}: not_started after a grant`);
    } else if (status === 409 && told.outcome === "sold_out") {
      const alsoGranted = granted.find((answer) => answer.told.user_id === userId);
      if (row && alsoGranted && sentAt > alsoGranted.answeredAt)
        failures.push(`request ${i}: a holder is told sold_out`);
    } else {
      failures.push(`request ${i}: ${key}`);
    }
  }
  const before = answers.filter((answer) => answer.answeredAt < firstGrantAt).length / options.requests;
  expect(
    before > 0.05 && before < 0.95,
    `it went live at ${(before * 100).toFixed(0)} % of the burst: run it again`,
  );
  return { answers: tally, before, secondsToSellOut: coupon?.["seconds"] as number, failures };
}

function parse(body: string): Told {
  try {
    return JSON.parse(body);
  } catch {
    return { outcome: `no JSON: ${body.slice(0, 80)}`, user_id: 0 };
  }
}

/** Fisher and Yates, by mulberry32: the same seed gives the same order. */
function shuffled(list: number[], seed: number): number[] {
  let state = seed;
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j] as number, list[i] as number];
  }
  return list;
}

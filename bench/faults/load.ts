/**
 * Clients that ask as people do: new ones for the coupon of the moment, others who ask again, who ask for a second one that day,
 * who use what they got, once and twice, who hang up; and an admin who restocks. What each asks is drawn from the seed. An answer
 * that isn't definite is asked again, the very same request: mostly at once, and at the end all that are left.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createRandom } from "../harness/stats.ts";
import type { Client } from "./client.ts";
import type { Answer, Ask, History } from "./history.ts";

export interface LoadOptions {
  seed: number;
  client: Client;
  /** Addresses of the servers that run; may change at any time. */
  targets: readonly string[];
  /** Users 1 to `users` may ask. */
  users: number;
  /** In the order in which they drop. */
  coupons: readonly { coupon: number; count: number }[];
  /** Clients at once. */
  clients: number;
  /** Between two requests of a client, at most, ms. */
  pauseMs: number;
  /** Without restocks where the clock of the database jumps: leases trust it. */
  restocks: boolean;
  history: History;
  /** The load ends by itself after so many requests. */
  requests?: number;
}

export interface Load {
  /** Resolves when so many requests as were wanted are made. */
  made: Promise<unknown>;
  /** No new request; those in flight get their answer, and every unknown one is asked again for `ms` at most. */
  finish(ms: number): Promise<void>;
  /** One request until its answer is definite or `ms` have passed. */
  insist(ask: Ask, ms: number, target?: string): Promise<Answer>;
}

/** New users who ask for a coupon before the next one drops, by its count. */
const ASKERS_PER_UNIT = 2.5;
const RETRY_MS = 300;

/** How often (out of 1) what is asked. */
const SHARES = { again: 0.12, second: 0.08, straggler: 0.08, use: 0.18, reuse: 0.03, restock: 0.01 };
const HANGS_UP = 0.005;
/** Who isn't told what became of it mostly asks again at once; who is told that nothing was done half of the time. */
const RETRIES = { unknown: 0.8, undone: 0.5 };

interface Pending {
  request: number;
  ask: Ask;
}

export function startLoad(options: LoadOptions): Load {
  const { seed, client, targets, users, coupons, clients, pauseMs, restocks, history } = options;
  const most = options.requests ?? Number.POSITIVE_INFINITY;
  let requests = 0;
  let lastUser = 0;
  let drop = 0;
  let left = 0;
  let running = true;
  const asked: Extract<Ask, { kind: "issue" }>[] = [];
  const held: Extract<Ask, { kind: "issue" }>[] = [];
  const used: Extract<Ask, { kind: "use" }>[] = [];
  const restocked = new Set<number>();
  const unanswered: Pending[] = [];

  const working = Promise.all(
    Array.from({ length: clients }, (_, i) => work(createRandom(seed * 1_000 + i))),
  );

  async function work(random: () => number): Promise<void> {
    await sleep(random() * pauseMs);
    while (running && requests < most) {
      await pursue({ request: requests++, ask: draw(random) }, random);
      await sleep(random() * pauseMs);
    }
  }

  function draw(random: () => number): Ask {
    const among = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)];
    const recent = <T>(list: readonly T[]) => among(list.slice(-200));
    // One of the two that dropped before the coupon of the moment.
    const earlier = coupons[(drop + coupons.length - 2 - Math.floor(random() * 2)) % coupons.length];
    let r = random();
    for (const [what, share] of Object.entries(SHARES) as [keyof typeof SHARES, number][]) {
      r -= share;
      if (r >= 0) continue;
      if (what === "again") return recent(asked) ?? fresh();
      if (what === "straggler" || what === "restock") {
        if (drop < 3 || !earlier) return fresh();
        if (what === "straggler") return { ...fresh(), coupon: earlier.coupon };
        if (!restocks || restocked.has(earlier.coupon)) return fresh();
        restocked.add(earlier.coupon);
        return {
          kind: "restock",
          coupon: earlier.coupon,
          count: earlier.count + 1 + Math.floor(random() * 10),
        };
      }
      const mine = recent(what === "second" ? asked : held);
      if (mine === undefined) return fresh();
      if (what === "second") return { ...fresh(), user: mine.user };
      const use = recent(used);
      if (what === "reuse" && use)
        return { ...use, reference: random() < 0.5 ? use.reference : `other-${use.user}` };
      const { user, coupon } = mine;
      used.push({ kind: "use", user, coupon, reference: `order-${user}` });
      return used.at(-1) as Ask;
    }
    return fresh();
  }

  /** A new user; each coupon is asked for until well beyond its last unit. */
  function fresh(): Extract<Ask, { kind: "issue" }> {
    if (left === 0) {
      const next = coupons[drop % coupons.length];
      drop += 1;
      left = Math.ceil((next?.count ?? 1) * ASKERS_PER_UNIT);
    }
    left -= 1;
    lastUser = (lastUser % users) + 1;
    const ask = {
      kind: "issue",
      user: lastUser,
      coupon: coupons[(drop - 1) % coupons.length]?.coupon ?? 0,
    } as const;
    asked.push(ask);
    return ask;
  }

  /** Asks until the answer is definite, or the client gives up. */
  async function pursue(pending: Pending, random: () => number): Promise<void> {
    for (let isUnknown = false; ; await sleep(random() * RETRY_MS)) {
      const target = targets[Math.floor(random() * targets.length)];
      const { is } = await attempt(pending, target, random() < HANGS_UP ? random() * 5 : undefined);
      if (is === "ok" && pending.ask.kind === "issue") held.push(pending.ask);
      if (is === "ok" || is === "refused") return;
      isUnknown ||= is !== "undone";
      if (running && random() < (is === "undone" ? RETRIES.undone : RETRIES.unknown)) continue;
      if (isUnknown) unanswered.push(pending);
      return;
    }
  }

  async function attempt(
    { request, ask }: Pending,
    target: string | undefined,
    hangUpAfter?: number,
  ): Promise<Answer> {
    const invokedAt = performance.now();
    const answer: Answer = target
      ? await client.send(target, ask, hangUpAfter)
      : { is: "undone", outcome: "unreachable" };
    history.attempts.push({ request, ask, invokedAt, answeredAt: performance.now(), answer });
    return answer;
  }

  async function persist(pending: Pending, until: number, target?: string): Promise<Answer> {
    for (;;) {
      const answer = await attempt(pending, target ?? targets[0]);
      if (answer.is === "ok" || answer.is === "refused" || performance.now() > until) return answer;
      await sleep(20);
    }
  }

  return {
    made: working,
    async finish(ms) {
      running = false;
      await working;
      const until = performance.now() + ms;
      await Promise.all(
        Array.from({ length: clients }, async () => {
          for (let next = unanswered.pop(); next; next = unanswered.pop()) await persist(next, until);
        }),
      );
    },
    insist: (ask, ms, target) => persist({ request: requests++, ask }, performance.now() + ms, target),
  };
}

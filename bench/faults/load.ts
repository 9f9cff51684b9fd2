/**
 * Clients that ask as people do: new ones for the coupon of the moment, others who ask again, who ask for a second one that day,
 * who use what they got, once and twice, who hang up; and an admin who restocks. What each asks is drawn from the seed. An answer
 * that isn't definite is asked again, the very same request: mostly at once, and at the end all that are left.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createRandom } from "../harness/stats.ts";
import { type AsksOptions, createAsks } from "./asks.ts";
import type { Client } from "./client.ts";
import type { Answer, Ask, History } from "./history.ts";

interface LoadOptions extends AsksOptions {
  seed: number;
  client: Client;
  /** Addresses of the servers that run; may change at any time. */
  targets: readonly string[];
  /** How many clients ask at once. */
  clients: number;
  /** The longest pause between two requests of a client, in ms. */
  pauseMs: number;
  history: History;
  /** The load ends by itself after so many requests. */
  requests?: number;
}

export interface Load {
  /** Resolves when so many requests as were wanted are made. */
  made: Promise<unknown>;
  /** Begins no new request. Those in flight get their answer, and each unknown one is asked again for at most `ms`. */
  finish(ms: number): Promise<void>;
  /**
   * Sends one request until its answer is definite or `ms` have passed, to the first server unless told otherwise. If it may have been
   * done then, it is asked again at the end. `pause` says how long it waits before it asks again, ms.
   */
  insist(ask: Ask, ms: number, target?: () => string | undefined, pause?: () => number): Promise<Answer>;
}

const RETRY_MS = 300;

const HANGS_UP = 0.005;
/** Who isn't told what became of it mostly asks again at once; who is told that nothing was done half of the time. */
const RETRIES = { unknown: 0.8, undone: 0.5 };

interface Pending {
  request: number;
  ask: Ask;
}

export function startLoad(options: LoadOptions): Load {
  const { seed, client, targets, clients, pauseMs, history } = options;
  const most = options.requests ?? Number.POSITIVE_INFINITY;
  const asks = createAsks(options);
  const unanswered: Pending[] = [];
  let requests = 0;
  let running = true;

  const working = Promise.all(
    Array.from({ length: clients }, (_, i) => work(createRandom(seed * 1_000 + i))),
  );

  async function work(random: () => number): Promise<void> {
    await sleep(random() * pauseMs);
    while (running && requests < most) {
      await pursue({ request: requests++, ask: asks.draw(random) }, random);
      await sleep(random() * pauseMs);
    }
  }

  /** Asks until the answer is definite, or the client gives up. */
  async function pursue(pending: Pending, random: () => number): Promise<void> {
    for (let isUnknown = false; ; await sleep(random() * RETRY_MS)) {
      const target = targets[Math.floor(random() * targets.length)];
      const { is } = await attempt(pending, target, random() < HANGS_UP ? random() * 5 : undefined);
      if (is === "ok" && pending.ask.kind === "issue") asks.given(pending.ask);
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

  /** Asks until the answer is definite, or until then. */
  async function persist(
    pending: Pending,
    until: number,
    target = () => targets[0],
    pause = () => 20,
  ): Promise<Answer> {
    for (let isUnknown = false; ; await sleep(pause())) {
      const answer = await attempt(pending, target());
      if (answer.is === "ok" || answer.is === "refused") return answer;
      isUnknown ||= answer.is !== "undone";
      if (performance.now() <= until) continue;
      if (running && isUnknown) unanswered.push(pending);
      return answer;
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
    insist: (ask, ms, target, pause) =>
      persist({ request: requests++, ask }, performance.now() + ms, target, pause),
  };
}

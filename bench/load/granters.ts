/** Who grants, for ./sd bench grant: this service and its peers, each with the way to empty and to count what it keeps. */
import type { Sql } from "../../db/connect.ts";
import type { Process } from "../harness/process.ts";
import type { Scratch } from "../harness/scratch.ts";
import { createCoupon, emptyTables, grantsOf } from "../harness/tables.ts";
import type { Shot } from "../harness/tokens.ts";
import type { Redis } from "../peers/redis.ts";
import { type Peer, type PeerOptions, startPeer } from "../peers/start.ts";
import { copyCoupon, textbookGrants } from "../peers/textbook.ts";
import type { Verdict } from "../report/result.ts";
import { faultsOf, fire, type Volley } from "./closed-loop.ts";

const COUNT = 1_000_000;
const TUNING = { connections: 256, warmUp: 1_000, requests: 2_000 };

/** Something that grants, or pretends to. */
export interface Granter {
  name: string;
  url: string;
  /** Forgets all grants; answers the coupon to ask for. */
  prepare(): Promise<number>;
  /** How many grants its data shows by each count that must be the same. */
  count(couponId: number): Promise<Record<string, number>>;
}

/** What all granters are fired at with. */
export interface Crowd {
  secret: string;
  shot(index: number, couponId: number): Shot;
  verdict: Verdict;
}

/** Fires at a granter and compares its data with what was asked. */
export async function volleyAt(
  granter: Granter,
  { connections, requests }: { connections: number; requests: number },
  { shot, verdict }: Crowd,
): Promise<Volley> {
  const couponId = await granter.prepare();
  const volley = await fire(granter.url, requests, connections, (index) => shot(index, couponId));
  verdict.failures.push(...faultsOf(granter.name, requests, 201, volley));
  for (const [what, n] of Object.entries(await granter.count(couponId)))
    verdict.equal(`${what} by ${granter.name}`, n, requests);
  return volley;
}

export function granterOfNothing(name: string, url: string): Granter {
  return { name, url, prepare: async () => 1, count: async () => ({}) };
}

export function granterInOurTables(name: string, url: string, { owner, admin }: Scratch): Granter {
  return {
    name,
    url,
    async prepare() {
      await emptyTables(owner);
      return createCoupon(admin, "grant", 0, COUNT);
    },
    async count(couponId) {
      const { rows, last, issued } = await grantsOf(admin, couponId);
      return { rows, "last position": last, "coupons.issued": issued };
    },
  };
}

export function granterByTextbook(
  name: string,
  url: string,
  { owner, admin }: { owner: Sql; admin: Sql },
): Granter {
  return {
    name,
    url,
    async prepare() {
      await emptyTables(owner);
      const couponId = await createCoupon(admin, "grant", 0, COUNT);
      await copyCoupon(owner, couponId);
      return couponId;
    },
    count: (couponId) => textbookGrants(owner, couponId),
  };
}

export function granterInRedis(name: string, url: string, redis: Redis): Granter {
  return {
    name,
    url,
    async prepare() {
      await redis.reset(1, COUNT);
      return 1;
    },
    async count() {
      const { holders, users, left } = await redis.holdings(1);
      return { holders, "users of the day": users, "units gone": COUNT - left };
    },
  };
}

/** Where peers are started: who ends them, and who is told what was chosen. */
export interface Stage {
  crowd: Crowd;
  later(end: () => Promise<unknown>): void;
  note(text: string): void;
}

/** Starts a peer with that of several pool sizes which grants most; of one size, without trying. */
export async function startTuned(
  { crowd, later, note }: Stage,
  peer: Peer,
  sizes: readonly number[],
  options: Omit<PeerOptions, "secret" | "pool">,
  granterAt: (url: string) => Granter,
): Promise<Granter> {
  const start = (pool: number): Promise<Process> =>
    startPeer(peer, { secret: crowd.secret, ...options, pool });
  const keep = async (pool: number) => {
    const process = await start(pool);
    later(process.stop);
    return granterAt(process.url);
  };
  if (sizes.length === 1) return keep(sizes[0] as number);
  const rates = new Map<number, number>();
  for (const pool of sizes) {
    const process = await start(pool);
    try {
      const candidate = granterAt(process.url);
      const { connections, warmUp, requests } = TUNING;
      await volleyAt(candidate, { connections, requests: warmUp }, crowd);
      const { perSecond } = await volleyAt(candidate, { connections, requests }, crowd);
      rates.set(pool, perSecond);
    } finally {
      await process.stop();
    }
  }
  const [best] = [...rates].toSorted(([, a], [, b]) => b - a)[0] as [number, number];
  const granter = await keep(best);
  const tried = [...rates].map(([pool, perSecond]) => `${pool}: ${perSecond.toFixed(0)}`).join(", ");
  note(
    `${granter.name}: ${best === 1 ? "1 connection" : `${best} connections`} to its database. ` +
      `Tried, grants a second: ${tried}.`,
  );
  return granter;
}

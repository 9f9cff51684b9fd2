/** Who grants, for ./sd bench grant: this service and its peers, each with the way to empty and to count what it keeps. */
import type { Sql } from "../../db/connect.ts";
import type { Process } from "../harness/process.ts";
import type { Scratch } from "../harness/scratch.ts";
import { createCoupon, emptyTables, grantsOf, settled } from "../harness/tables.ts";
import type { Redis } from "../peers/redis.ts";
import { type Peer, type PeerOptions, startPeer } from "../peers/start.ts";
import { copyCoupon, textbookGrants } from "../peers/textbook.ts";
import type { Verdict } from "../report/result.ts";
import type { Generator } from "./generator.ts";
import { fireAt, type Processes, type Round } from "./volley.ts";

const COUNT = 1_000_000;
/** Connections that are tried with, and how long a volley, s; the first one warms up. */
const TUNING = { connections: 256, seconds: [0.5, 1] };

/** Something that grants, or pretends to. */
export interface Granter {
  name: string;
  url: string;
  processes: Processes;
  /** Whether it grants: a user once, so that a volley has no more tokens than users. */
  grants: boolean;
  /** Forgets all grants; answers the coupon to ask for. */
  prepare(): Promise<number>;
  /** How many grants its data shows by each count that must be the same. */
  count(couponId: number): Promise<Record<string, number>>;
}

/** What all granters are fired at with. */
export interface Crowd {
  secret: string;
  users: number;
  fresh(count: number): string[];
  verdict: Verdict;
}

/** Fires at a granter and compares its data with what was answered; what was under way at the end is granted too. */
export async function volleyAt(
  granter: Granter,
  generator: Generator,
  { connections, seconds, lastRate }: { connections: number; seconds: number; lastRate?: number | undefined },
  { users, fresh, verdict }: Crowd,
): Promise<Round> {
  const couponId = await granter.prepare();
  const wanted = generator.tokens(lastRate, seconds, connections);
  const tokens = fresh(granter.grants ? Math.min(users, wanted) : wanted);
  const shots = { couponId, connections, seconds, tokens };
  const round = await fireAt(granter, shots, generator, { isRefused: false, verdict });
  const { answers } = round;
  const who = `${granter.name}, ${connections} connections, ${generator.name}`;
  verdict.expect(!round.ranOut, `${who}: a token came twice`);
  const counts = await settled(() => granter.count(couponId));
  const [most = answers] = Object.values(counts);
  verdict.expect(
    most >= answers && most <= answers + generator.openAtEnd(connections),
    `${who}: ${most} grants, and ${answers} answers`,
  );
  for (const [what, n] of Object.entries(counts)) verdict.equal(`${what} by ${who}`, n, most);
  return round;
}

export function granterOfNothing(name: string, { url, pid }: Process): Granter {
  return {
    name,
    url,
    processes: { process: pid },
    grants: false,
    prepare: async () => 1,
    count: async () => ({}),
  };
}

export function granterInOurTables(
  name: string,
  { url, pid }: Process,
  { owner, admin }: Pick<Scratch, "owner" | "admin">,
  database: number | undefined,
): Granter {
  return {
    name,
    url,
    processes: { process: pid, database },
    grants: true,
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
  { url, pid }: Process,
  { owner, admin }: { owner: Sql; admin: Sql },
  database: number | undefined,
): Granter {
  return {
    name,
    url,
    processes: { process: pid, database },
    grants: true,
    async prepare() {
      await emptyTables(owner);
      const couponId = await createCoupon(admin, "grant", 0, COUNT);
      await copyCoupon(owner, couponId);
      return couponId;
    },
    count: (couponId) => textbookGrants(owner, couponId),
  };
}

export function granterInRedis(name: string, { url, pid }: Process, redis: Redis): Granter {
  return {
    name,
    url,
    processes: { process: pid, database: redis.pid },
    grants: true,
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
  generator: Generator;
  later(end: () => Promise<unknown>): void;
  note(text: string): void;
}

/** Starts a peer with that of several pool sizes which grants most; of one size, without trying. */
export async function startTuned(
  { crowd, generator, later, note }: Stage,
  peer: Peer,
  sizes: readonly number[],
  options: Omit<PeerOptions, "secret" | "pool">,
  granterAt: (process: Process) => Granter,
): Promise<Granter> {
  const start = (pool: number): Promise<Process> =>
    startPeer(peer, { secret: crowd.secret, ...options, pool });
  const keep = async (pool: number) => {
    const process = await start(pool);
    later(process.stop);
    return granterAt(process);
  };
  if (sizes.length === 1) return keep(sizes[0] as number);
  const rates = new Map<number, number>();
  for (const pool of sizes) {
    const process = await start(pool);
    try {
      const candidate = granterAt(process);
      let lastRate: number | undefined;
      for (const seconds of TUNING.seconds) {
        const volley = { connections: TUNING.connections, seconds, lastRate };
        lastRate = (await volleyAt(candidate, generator, volley, crowd)).perSecond;
      }
      rates.set(pool, lastRate as number);
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

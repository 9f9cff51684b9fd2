/**
 * Durable grants: every request is a user's first one of the day at a coupon with room for all. Against a hello route, the
 * textbook's row lock, our own function called once a request, and the usual counter in Redis.
 */
import type { Sql } from "../../db/connect.ts";
import { withCleanup } from "../harness/cleanup.ts";
import type { Process } from "../harness/process.ts";
import type { Scratch } from "../harness/scratch.ts";
import { startService } from "../harness/service.ts";
import { shuffled } from "../harness/stats.ts";
import { createCoupon, emptyTables, grantsOf } from "../harness/tables.ts";
import { createShots, type Shot } from "../harness/tokens.ts";
import { type Fsync, redisVersion, startRedis } from "../peers/redis.ts";
import { answerOf, type Peer, type PeerOptions, startPeer } from "../peers/start.ts";
import { copyCoupon, createTextbook, textbookGrants } from "../peers/textbook.ts";
import { createVerdict, type Findings, type Say, type Verdict } from "../report/result.ts";
import { faultsOf, fire, type Volley } from "./closed-loop.ts";
import { CEILING, OURS, throughputOf } from "./measures.ts";
import { createPace, inTurn } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";

interface GrantOptions {
  [name: string]: number | readonly number[];
  rounds: number;
  connections: readonly number[];
  /** About how long each volley takes, ms. */
  volley: number;
  /** Connections to PostgreSQL that the peers are tried with; the fastest is kept. Only one: it is not tried. */
  pools: readonly number[];
}

export const grant: Scenario<GrantOptions> = {
  name: "grant",
  about: "durable grants against a hello route, select … for update, our own function per request, and Redis",
  defaults: { rounds: 5, connections: [64, 256, 1_000], volley: 1_000, pools: [4, 8, 16, 32] },
  quick: { rounds: 2, connections: [64], volley: 200, pools: [8] },
  run,
};

const USERS = 40_000;
const COUNT = 1_000_000;
const REDIS_POOLS = [1, 4];
const TUNING = { connections: 256, warmUp: 1_000, requests: 2_000 };

/** Something that grants, or pretends to. */
interface Granter {
  name: string;
  url: string;
  /** Forgets all grants; answers the coupon to ask for. */
  prepare(): Promise<number>;
  /** How many grants its data shows by each count that must be the same. */
  count(couponId: number): Promise<Record<string, number>>;
}

function run({ rounds, connections, volley, pools }: GrantOptions, say: Say): Promise<Findings> {
  return withCleanup(async (later) => {
    say(`starting the service and its peers, for ${USERS} users`);
    const service = await startService(USERS);
    later(service.stop);
    const { database, secret } = service;
    const shotOf = createShots(secret, USERS);
    const askers = shuffled(
      Array.from({ length: USERS }, (_, i) => i + 1),
      1,
    );
    const crowd = (index: number, couponId: number) => shotOf(askers[index] as number, couponId);
    const verdict = createVerdict();
    const notes: string[] = [];

    const start = async (peer: Peer, options: Omit<PeerOptions, "secret">): Promise<Process> => {
      const process = await startPeer(peer, { secret, ...options });
      later(process.stop);
      return process;
    };
    /** Starts the peer with the pool that does best. */
    const startTuned = async (
      peer: Peer,
      sizes: readonly number[],
      options: Omit<PeerOptions, "secret" | "pool">,
      granter: (url: string) => Granter,
    ): Promise<Granter> => {
      if (sizes.length === 1)
        return granter((await start(peer, { ...options, pool: sizes[0] as number })).url);
      const rates = new Map<number, number>();
      for (const pool of sizes) {
        const process = await startPeer(peer, { secret, ...options, pool });
        try {
          const candidate = granter(process.url);
          const { connections, warmUp, requests } = TUNING;
          await volleyAt(candidate, { connections, requests: warmUp }, crowd, verdict);
          const { perSecond } = await volleyAt(candidate, { connections, requests }, crowd, verdict);
          rates.set(pool, perSecond);
        } finally {
          await process.stop();
        }
      }
      const [best] = [...rates].toSorted(([, a], [, b]) => b - a)[0] as [number, number];
      const chosen = granter((await start(peer, { ...options, pool: best })).url);
      const tried = [...rates].map(([pool, perSecond]) => `${pool}: ${perSecond.toFixed(0)}`).join(", ");
      notes.push(
        `${chosen.name}: ${best === 1 ? "1 connection" : `${best} connections`} to its database. Tried, grants a second: ${tried}.`,
      );
      say(notes.at(-1) as string);
      return chosen;
    };

    const ours = granterInOurTables(OURS, service.url, database);
    const answer = await answerOf(service.url, crowd(0, await ours.prepare()));
    const hello = (await start("hello", { answer })).url;
    const bare = (await start("bare", { answer })).url;
    await createTextbook(database);
    const granters = [
      ours,
      granterOfNothing("hello", hello),
      granterOfNothing(CEILING, bare),
      await startTuned("for-update", pools, { databaseUrl: database.setupUrl }, (url) =>
        granterByTextbook("for update", url, database),
      ),
      await startTuned("issue-coupon", pools, { databaseUrl: database.apiUrl }, (url) =>
        granterInOurTables("issue_coupon() per request", url, database),
      ),
    ];
    const version = redisVersion();
    if (version === null) notes.push("Redis was skipped: needs redis-server (Debian package redis-server).");
    else {
      notes.push(`Redis ${version}.`);
      for (const fsync of ["everysec", "always"] as const satisfies Fsync[]) {
        const redis = await startRedis(fsync);
        later(redis.stop);
        const sizes = pools.length === 1 ? [1] : REDIS_POOLS;
        for (const [peer, suffix] of [
          ["redis", ""],
          ["redis-fast", ", our HTTP path"],
        ] as const)
          granters.push(
            await startTuned(peer, sizes, { redisUrl: redis.url }, (url) => ({
              name: `Redis, appendonly ${fsync}${suffix}`,
              url,
              async prepare() {
                await redis.reset(1, COUNT);
                return 1;
              },
              async count() {
                const { holders, users, left } = await redis.holdings(1);
                return { holders, "users of the day": users, "units gone": COUNT - left };
              },
            })),
          );
      }
    }

    const pace = createPace(volley, 2_000, USERS);
    let granted = 0;
    const contenders = connections.flatMap((n) =>
      granters.map((granter) => ({ ...granter, connections: n })),
    );
    const measured = await inTurn(
      contenders,
      rounds,
      async (contender) => {
        const requests = pace.requests(contender, contender.connections);
        const { connections } = contender;
        const result = await volleyAt(contender, { connections, requests }, crowd, verdict);
        pace.was(contender, result.perSecond);
        if (contender.name === OURS) granted += requests;
        return result;
      },
      say,
    );
    const broken = await database.admin`select * from reconcile()`;
    verdict.expect(broken.length === 0, `reconcile() returned ${JSON.stringify(broken)}`);
    verdict.checks.push(
      `after each volley as many rows (in Redis entries) as requests, all answered 201; ${granted} grants by this service; ` +
        "reconcile() empty",
    );
    return {
      ...throughputOf(measured, "grant"),
      checks: verdict.checks,
      failures: verdict.failures,
      notes,
    };
  });
}

/** Fires at a granter and compares its data with what was asked. */
async function volleyAt(
  granter: Granter,
  { connections, requests }: { connections: number; requests: number },
  crowd: (index: number, couponId: number) => Shot,
  verdict: Verdict,
): Promise<Volley> {
  const couponId = await granter.prepare();
  const volley = await fire(granter.url, requests, connections, (index) => crowd(index, couponId));
  verdict.failures.push(...faultsOf(granter.name, requests, 201, volley));
  for (const [what, n] of Object.entries(await granter.count(couponId)))
    verdict.equal(`${what} by ${granter.name}`, n, requests);
  return volley;
}

function granterOfNothing(name: string, url: string): Granter {
  return { name, url, prepare: async () => 1, count: async () => ({}) };
}

function granterInOurTables(name: string, url: string, { owner, admin }: Scratch): Granter {
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

function granterByTextbook(name: string, url: string, { owner, admin }: { owner: Sql; admin: Sql }): Granter {
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

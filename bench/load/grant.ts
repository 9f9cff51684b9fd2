/**
 * Durable grants: every request is a user's first one of the day at a coupon with room for all. Against a hello route, the
 * textbook's row lock, our own function called once a request, and the usual counter in Redis.
 */
import { withCleanup } from "../harness/cleanup.ts";
import { type Service, startService } from "../harness/service.ts";
import { shuffled } from "../harness/stats.ts";
import { createFreshTokens, issueShot } from "../harness/tokens.ts";
import { type Fsync, redisVersion, startRedis } from "../peers/redis.ts";
import { answerOf, type Peer, startPeer } from "../peers/start.ts";
import { createTextbook } from "../peers/textbook.ts";
import { createVerdict, type Findings, type Say } from "../report/result.ts";
import type { Generator } from "./generator.ts";
import {
  type Crowd,
  type Granter,
  granterByTextbook,
  granterInOurTables,
  granterInRedis,
  granterOfNothing,
  type Stage,
  startTuned,
  volleyAt,
} from "./granters.ts";
import { CONSTANT, OURS, throughputOf } from "./measures.ts";
import { inTurn } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";
import { generatorsHere, postmasterOf } from "./volley.ts";

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
  quick: { rounds: 1, connections: [64], volley: 200, pools: [8] },
  run,
};

const USERS = 40_000;
const REDIS_POOLS = [1, 4];

function run({ rounds, connections, volley, pools }: GrantOptions, say: Say): Promise<Findings> {
  return withCleanup(async (later) => {
    say(`starting the service and its peers, for ${USERS} users`);
    const service = await startService(USERS);
    later(service.stop);
    const { database, secret } = service;
    const askers = shuffled(
      Array.from({ length: USERS }, (_, i) => i + 1),
      1,
    );
    const verdict = createVerdict();
    const crowd: Crowd = { secret, users: USERS, fresh: createFreshTokens(secret, askers), verdict };
    const notes: string[] = [];
    const note = (text: string) => {
      notes.push(text);
      say(text);
    };
    const [generator] = generatorsHere(note) as [Generator];
    const granters = await startAll(service, pools, { crowd, generator, later, note });

    const rates = new Map<unknown, number>();
    let granted = 0;
    const contenders = connections.flatMap((n) =>
      granters.map((granter) => ({ ...granter, connections: n, generator })),
    );
    const measured = await inTurn(
      contenders,
      rounds,
      async (contender) => {
        const shots = {
          connections: contender.connections,
          seconds: volley / 1_000,
          lastRate: rates.get(contender),
        };
        const round = await volleyAt(contender, generator, shots, crowd);
        rates.set(contender, round.perSecond);
        if (contender.name === OURS) granted += round.answers;
        return round;
      },
      say,
    );
    await verdict.reconciles(database.admin);
    verdict.checks.push(
      `after each volley as many rows (in Redis entries) as answers and what was under way, all 201, no token twice; ` +
        `${granted} grants by this service; ` +
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

/** This service and each peer that this machine can run. */
async function startAll(service: Service, pools: readonly number[], stage: Stage): Promise<Granter[]> {
  const { crowd, later, note } = stage;
  const { url, database } = service;
  const postmaster = await postmasterOf(database);
  const ours = granterInOurTables(OURS, service, database, postmaster);
  const [token] = crowd.fresh(1) as [string];
  const answer = await answerOf(url, issueShot(token, await ours.prepare()));
  const constant = async (name: string, peer: Peer) => {
    const process = await startPeer(peer, { secret: crowd.secret, answer });
    later(process.stop);
    return granterOfNothing(name, process);
  };

  await createTextbook(database);
  const granters = [
    ours,
    await constant("hello", "hello"),
    await constant(CONSTANT, "bare"),
    await startTuned(stage, "for-update", pools, { databaseUrl: database.setupUrl }, (process) =>
      granterByTextbook("for update", process, database, postmaster),
    ),
    await startTuned(stage, "issue-coupon", pools, { databaseUrl: database.apiUrl }, (process) =>
      granterInOurTables("issue_coupon() per request", process, database, postmaster),
    ),
  ];
  const version = redisVersion();
  note(
    version === null
      ? "Redis was skipped: needs redis-server (Debian package redis-server)."
      : `Redis ${version}.`,
  );
  if (version === null) return granters;
  for (const fsync of ["everysec", "always"] as const satisfies Fsync[]) {
    const redis = await startRedis(fsync);
    later(redis.stop);
    const sizes = pools.length === 1 ? [1] : REDIS_POOLS;
    for (const [peer, suffix] of [
      ["redis", ""],
      ["redis-fast", ", our HTTP path"],
    ] as const)
      granters.push(
        await startTuned(stage, peer, sizes, { redisUrl: redis.url }, (process) =>
          granterInRedis(`Redis, appendonly ${fsync}${suffix}`, process, redis),
        ),
      );
  }
  return granters;
}

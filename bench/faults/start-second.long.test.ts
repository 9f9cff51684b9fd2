/**
 * Three servers at the second in which three coupons start, while users ask at all of them: one coupon is postponed and edited, one is
 * moved to that second from a later one, one is withdrawn. Another time the coupons are a group's from that second on, and everybody's a
 * little later: one is edited, one is brought forward, one is withdrawn. The checker of the faults judges what was told. The commands are
 * sent when their wait for leases ends about when the coupons start.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { withCleanup } from "../harness/cleanup.ts";
import { newDatabase, newSecret } from "../harness/service.ts";
import { watchStalls } from "../harness/stalls.ts";
import { createRandom } from "../harness/stats.ts";
import { addUsers } from "../harness/tables.ts";
import { check, type Verdict } from "./checker/check.ts";
import { createClient, tokensOf } from "./client.ts";
import { DAY_MS } from "./days.ts";
import { startServer } from "./ground.ts";
import { type Answer, type Ask, EARLY_GROUP, type FinalState, type History, newHistory } from "./history.ts";
import { readState } from "./state.ts";

const SERVERS = 3;
/** Of each coupon. */
const USERS = 16;
const PAUSE_MS = 40;
/** From the first request of the users to the start, and for how long they go on after it, ms. */
const BEFORE_MS = 2_500;
const AFTER_MS = 2_500;
/** For three coupons to be made, also on a busy machine, ms. */
const LEAD_MS = 4_000;

/** Of the users of a coupon half are in the group that may have it early. */
const MEMBERS = { first: 1, last: (3 * USERS) / 2 };
const userOf = (coupon: number, n: number) => 1 + 3 * n + coupon;

interface Stage {
  /** The second, ms since 1970. */
  start: number;
  random: () => number;
  create: (code: string, begins: number, count: number) => Promise<number>;
}

/** Three coupons, since a day has room for no more. */
interface Scene {
  coupons: [edited: number, number, number];
  /** What is asked for before anybody asks for a coupon. */
  first?: Ask[];
  /** What is asked for so long before the second, ms. */
  changes: [before: number, change: Ask][];
}

interface Told {
  verdict: Verdict;
  state: FinalState;
  history: History;
  /** Of the changes. */
  outcomes: string[];
  scene: Scene;
}

function race(seed: number, stageOf: (stage: Stage) => Promise<Scene>, lead = LEAD_MS): Promise<Told> {
  return withCleanup(async (later) => {
    const random = createRandom(seed);
    const database = await newDatabase();
    later(database.drop);
    await addUsers(database, 1, 3 * USERS);
    await database.admin`
      select from add_to_group(
        ${EARLY_GROUP}, array(select generate_series(${MEMBERS.first}::bigint, ${MEMBERS.last}::bigint)))`;
    const history = newHistory(seed, new Map());
    history.members = MEMBERS;
    const secret = newSecret();
    const servers = await Promise.all(
      Array.from({ length: SERVERS }, () => startServer(database.apiUrl, secret, history)),
    );
    for (const server of servers) later(server.stop);
    const client = createClient(tokensOf(secret));
    later(async () => client.close());
    const endWatch = watchStalls(history.stalls);
    later(async () => endWatch());

    let requests = 0;
    const ask = async (ask: Ask): Promise<Answer> => {
      const invokedAt = performance.now();
      const answer = await client.send(servers[Math.floor(random() * SERVERS)]?.url ?? "", ask);
      history.attempts.push({ request: requests++, ask, invokedAt, answeredAt: performance.now(), answer });
      return answer;
    };
    // Each has its connections before it counts.
    for (const { url } of servers) await client.send(url, { kind: "issue", coupon: 1, user: 1 });
    const start = Date.now() + BEFORE_MS + lead;
    const create = async (code: string, begins: number, count: number): Promise<number> => {
      const end = start + DAY_MS;
      const made = await ask({ kind: "create", code, message: code, start: begins, end, count });
      assert.ok(made.is === "ok" && made.coupon !== undefined, made.outcome);
      history.counts.set(made.coupon, count);
      return made.coupon;
    };
    const scene = await stageOf({ start, random, create });
    const prepared: Answer[] = [];
    for (const each of scene.first ?? []) prepared.push(await ask(each));
    // Otherwise there was no time to ask before it.
    if (Date.now() > start - BEFORE_MS) return race(seed, stageOf, 2 * lead);
    for (const { outcome } of prepared) assert.equal(outcome, "changed");
    const until = (time: number) => sleep(Math.max(0, time - Date.now()));

    const users = scene.coupons.flatMap((coupon, i) =>
      Array.from({ length: USERS }, async (_, n) => {
        await until(start - BEFORE_MS + random() * PAUSE_MS);
        for (let isTold = false; !isTold || Date.now() < start + AFTER_MS; ) {
          const { is, outcome } = await ask({ kind: "issue", coupon, user: userOf(i, n) });
          isTold = (is === "ok" || is === "refused") && outcome !== "not_started";
          await sleep(random() * PAUSE_MS);
        }
      }),
    );
    const edits = async () => {
      await until(start - 300);
      for (let n = 1; Date.now() < start + 300; n++)
        assert.equal(
          (await ask({ kind: "edit", coupon: scene.coupons[0], message: `Edit ${n}` })).outcome,
          "changed",
        );
    };
    const changes = scene.changes.map(async ([before, change]) => {
      await until(start - before);
      return (await ask(change)).outcome;
    });
    await Promise.all([...changes, edits(), ...users]);
    const state = await readState(database.setupUrl, history);
    return { verdict: check(history, state), state, history, outcomes: await Promise.all(changes), scene };
  });
}

/** What was told of the coupons, each outcome as often; and that no promise is broken and no server died. */
function judged({ verdict, history, outcomes }: Told, t: TestContext): Record<string, number> {
  const told: Record<string, number> = {};
  for (const { ask, answer } of history.attempts)
    if (ask.kind === "issue") told[answer.outcome] = (told[answer.outcome] ?? 0) + 1;
  t.diagnostic(JSON.stringify({ outcomes, told }));
  assert.deepEqual(verdict.violations, []);
  assert.deepEqual(history.deaths, []);
  assert.ok((told["not_started"] ?? 0) > 0, "they asked before the start");
  return told;
}

/** count and issued of each coupon that is there, by count. */
const unitsOf = ({ coupons }: FinalState) =>
  coupons.map(({ count, issued }) => [count, issued]).toSorted(([a = 0], [b = 0]) => a - b);

for (const seed of [1, 2])
  test(`postponed, moved, withdrawn: nobody is told wrong, seed ${seed}`, async (t) => {
    const seen = await race(seed, async ({ start, random, create }) => {
      const coupons: Scene["coupons"] = [
        await create("POSTPONED", start, 5),
        await create("MOVED", start + 1_500, 6),
        await create("WITHDRAWN", start + 1, 7),
      ];
      const [postponed, moved, withdrawn] = coupons;
      // A wait for leases is a second.
      return {
        coupons,
        changes: [
          [950 + random() * 100, { kind: "move", coupon: postponed, start: start + 400 }],
          [900 + random() * 400, { kind: "move", coupon: moved, start: start + 2 }],
          [950 + random() * 100, { kind: "withdraw", coupon: withdrawn }],
        ],
      };
    });
    const told = judged(seen, t);
    const isGone = seen.outcomes[2] === "withdrawn";
    assert.equal(seen.outcomes[2], isGone ? "withdrawn" : "has_grants");
    assert.deepEqual(unitsOf(seen.state), [[5, 5], [6, 6], ...(isGone ? [] : [[7, 7]])]);
    assert.equal(told["issued"], isGone ? 11 : 18);
  });

test("early for a group, brought forward, withdrawn: nobody is told wrong, and the units are exact", async (t) => {
  const seen = await race(3, async ({ start, random, create }) => {
    const coupons: Scene["coupons"] = [
      await create("EARLY", start + 1_500, 10),
      await create("FORWARD", start + 1_501, 5),
      await create("WITHDRAWN", start + 1_502, 7),
    ];
    const [early, forward, withdrawn] = coupons;
    return {
      coupons,
      first: [
        { kind: "early", coupon: early, from: start },
        { kind: "early", coupon: forward, from: start + 1_000 },
        { kind: "early", coupon: withdrawn, from: start + 1 },
      ],
      changes: [
        [900 + random() * 400, { kind: "early", coupon: forward, from: start + 2 }],
        [950 + random() * 100, { kind: "withdraw", coupon: withdrawn }],
      ],
    };
  });
  const told = judged(seen, t);
  const isGone = seen.outcomes[1] === "withdrawn";
  assert.equal(seen.outcomes[1], isGone ? "withdrawn" : "has_grants");
  assert.deepEqual(unitsOf(seen.state), [[5, 5], ...(isGone ? [] : [[7, 7]]), [10, 10]]);
  assert.equal(told["issued"], isGone ? 15 : 22);
  // Who had it early is a member, as the checker sees. Unless the machine stood still all the while, there were some.
  const [early] = seen.scene.coupons;
  const row = seen.state.coupons.find(({ coupon }) => coupon === early);
  const { epoch, attempts } = seen.history;
  const isInTime = attempts.some(
    ({ ask, answer, invokedAt, answeredAt }) =>
      ask.kind === "issue" &&
      ask.coupon === early &&
      ask.user <= MEMBERS.last &&
      answer.is === "ok" &&
      epoch + invokedAt > (row?.from ?? 0) &&
      epoch + answeredAt < (row?.start ?? 0),
  );
  const members = seen.state.grants.filter(
    ({ coupon, issued_at }) => coupon === early && Date.parse(issued_at) < (row?.start ?? 0),
  );
  assert.ok(members.length > 0 || !isInTime, "somebody had it early");
  assert.ok(members.every(({ user }) => user <= MEMBERS.last));
  // Each coupon has eight members, and the first has ten units: two at least are for the others.
  const others = seen.state.grants.filter(({ coupon, user }) => coupon === early && user > MEMBERS.last);
  assert.ok(others.length >= 2);
});

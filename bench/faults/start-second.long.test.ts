/**
 * Three servers at the second in which three coupons start, while users ask at all of them: one coupon is postponed and edited, one is
 * moved to that second from a later one, one is withdrawn. The checker of the faults judges what was told. The commands are sent when
 * their wait for leases ends about when the coupons start.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { withCleanup } from "../harness/cleanup.ts";
import { newDatabase, newSecret } from "../harness/service.ts";
import { watchStalls } from "../harness/stalls.ts";
import { createRandom } from "../harness/stats.ts";
import { addUsers } from "../harness/tables.ts";
import { adminToken, userToken } from "../harness/tokens.ts";
import { check, type Verdict } from "./checker/check.ts";
import { createClient } from "./client.ts";
import { startServer } from "./ground.ts";
import { type Answer, type Ask, type FinalState, type History, newHistory } from "./history.ts";
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
const DAY_MS = 86_400_000;

interface Told {
  verdict: Verdict;
  state: FinalState;
  history: History;
  outcomes: Record<"postponed" | "moved" | "withdrawn", string>;
}

function race(seed: number, lead = LEAD_MS): Promise<Told> {
  return withCleanup(async (later) => {
    const random = createRandom(seed);
    const database = await newDatabase();
    later(database.drop);
    await addUsers(database, 1, 3 * USERS);
    const history = newHistory(seed, new Map());
    const secret = newSecret();
    const servers = await Promise.all(
      Array.from({ length: SERVERS }, () => startServer(database.apiUrl, secret, history)),
    );
    for (const server of servers) later(server.stop);
    const client = createClient((user) => userToken(secret, user), adminToken(secret));
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
    const postponed = await create("POSTPONED", start, 5);
    const moved = await create("MOVED", start + 1_500, 6);
    const withdrawn = await create("WITHDRAWN", start + 1, 7);
    // Otherwise there was no time to ask before it.
    if (Date.now() > start - BEFORE_MS) return race(seed, 2 * lead);
    const until = (time: number) => sleep(Math.max(0, time - Date.now()));

    const users = [postponed, moved, withdrawn].flatMap((coupon, i) =>
      Array.from({ length: USERS }, async (_, n) => {
        await until(start - BEFORE_MS + random() * PAUSE_MS);
        for (let isTold = false; !isTold || Date.now() < start + AFTER_MS; ) {
          const { is, outcome } = await ask({ kind: "issue", coupon, user: 1 + i * USERS + n });
          isTold = (is === "ok" || is === "refused") && outcome !== "not_started";
          await sleep(random() * PAUSE_MS);
        }
      }),
    );
    const edits = async () => {
      await until(start - 300);
      for (let n = 1; Date.now() < start + 300; n++)
        assert.equal(
          (await ask({ kind: "edit", coupon: postponed, message: `Edit ${n}` })).outcome,
          "changed",
        );
    };
    // A wait for leases is a second.
    const at = async (before: number, change: Ask) => {
      await until(start - before);
      return (await ask(change)).outcome;
    };
    const [first, second, third] = await Promise.all([
      at(950 + random() * 100, { kind: "move", coupon: postponed, start: start + 400 }),
      at(900 + random() * 400, { kind: "move", coupon: moved, start: start + 2 }),
      at(950 + random() * 100, { kind: "withdraw", coupon: withdrawn }),
      edits(),
      ...users,
    ]);
    const state = await readState(database.setupUrl);
    return {
      verdict: check(history, state),
      state,
      history,
      outcomes: { postponed: first, moved: second, withdrawn: third },
    };
  });
}

for (const seed of [1, 2])
  test(`nobody is told wrong, seed ${seed}`, async (t) => {
    const { verdict, state, history, outcomes } = await race(seed);
    const told: Record<string, number> = {};
    for (const { ask, answer } of history.attempts)
      if (ask.kind === "issue") told[answer.outcome] = (told[answer.outcome] ?? 0) + 1;
    t.diagnostic(JSON.stringify({ outcomes, told }));
    assert.deepEqual(verdict.violations, []);
    assert.deepEqual(history.deaths, []);
    const isGone = outcomes.withdrawn === "withdrawn";
    assert.equal(outcomes.withdrawn, isGone ? "withdrawn" : "has_grants");
    assert.deepEqual(
      state.coupons.map(({ count, issued }) => [count, issued]).toSorted(([a = 0], [b = 0]) => a - b),
      [[5, 5], [6, 6], ...(isGone ? [] : [[7, 7]])],
    );
    assert.equal(told["issued"], isGone ? 11 : 18);
    assert.ok((told["not_started"] ?? 0) > 0, "they asked before the start");
  });

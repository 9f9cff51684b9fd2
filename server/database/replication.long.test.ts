/** A primary whose synchronous standby is missing, and somebody who ends the waits for it: what may be lost is told as unknown. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import {
  adminToken,
  type Call,
  metricsToken,
  openApp,
  serviceToken,
  userToken,
} from "../../bench/harness/app.ts";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { makeLogin } from "../../bench/harness/cluster.ts";
import { createThings } from "../../bench/harness/coupons.ts";
import { type Node, startNodes, testedBin } from "../../bench/harness/nodes.ts";
import { makeTemplate, type Scratch, scratchDatabase } from "../../bench/harness/scratch.ts";
import { runSd } from "../../bench/harness/sd.ts";
import { timed } from "../../bench/harness/stalls.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { meanwhile, until } from "../../bench/harness/waiting.ts";
import { connect, type Sql, withConnection } from "../../db/connect.ts";
import { targetOf } from "../../db/target.ts";
import { CONNECTIONS } from "./pools.ts";
import { open, prove } from "./session.ts";

type App = Awaited<ReturnType<typeof openApp>>;

let node: Node;
let standby: Node;
let scratch: Scratch;
let superuser: Sql;
let app: App;
let things: ReturnType<typeof createThings>;

before(async () => {
  [node, standby] = (await startNodes(2, await testedBin())) as [Node, Node];
  const serverUrl = await makeLogin(node.target);
  await makeTemplate(serverUrl);
  scratch = await scratchDatabase(serverUrl);
  superuser = connect(node.target);
  things = createThings(scratch.admin);
  app = await openApp(scratch.apiUrl);
});

after(async () => {
  await app.close();
  await superuser.end({ timeout: 1 });
  await Promise.all([scratch.owner.end({ timeout: 1 }), scratch.admin.end({ timeout: 1 })]);
  await cleanUp();
});

/** Calls that wait for the standby. The first lease after a refusal waits too, and nobody waits for it. */
const WAITERS = `
  select pid, query_start::text as since from pg_stat_activity
  where wait_event = 'SyncRep' and usename in ('coupon_api', 'coupon_admin') and query not like '%coupon_leases%'`;
let commit: PromiseLike<unknown>;

/** From now on commits wait for this standby, which is not there. */
async function loseStandby(name = "nobody"): Promise<void> {
  await superuser.unsafe(`alter system set synchronous_standby_names = ${name}`);
  await superuser`select pg_reload_conf()`;
  // PostgreSQL's checkpointer reads the setting for all sessions, at its next turn.
  await until(async () => {
    let isOver = false;
    commit = scratch.owner`select pg_logical_emit_message(true, 'test', '')`.then(() => {
      isOver = true;
    });
    const waits = async () =>
      (await superuser`select from pg_stat_activity where wait_event = 'SyncRep'`).count > 0;
    await until(async () => isOver || (await waits()), "the commit is over, or waits");
    return !isOver;
  }, "a commit waits");
}

/** Commits wait for nobody, and those that wait go through. */
async function giveUpStandby(): Promise<void> {
  await superuser`alter system set synchronous_standby_names = ''`;
  await superuser`select pg_reload_conf()`;
  await commit;
}

afterEach(giveUpStandby);

/** Ends the wait for the standby by this function, once exactly one session waits. */
async function endWait(by: "pg_cancel_backend" | "pg_terminate_backend"): Promise<void> {
  let waits: readonly Record<string, unknown>[] = [];
  await until(async () => {
    waits = await superuser.unsafe(WAITERS);
    return waits.length === 1;
  }, "a session waits for the standby");
  await superuser`select ${superuser.unsafe(by)}(${waits[0]?.["pid"] as number}::integer)`;
  // The session may wait again soon, for another statement's commit.
  await until(
    async () => !(await superuser.unsafe(WAITERS)).some(({ since }) => since === waits[0]?.["since"]),
    "it waits no longer",
  );
}

/** What changes something, from each of the pools that write, and what a retry is told if it was done. */
async function commands(): Promise<[route: string, call: Call, first: string, again: string][]> {
  const { newUser, newCoupon } = things;
  const [user, holder, coupon] = [await newUser(), await newUser(), await newCoupon()];
  await scratch.admin`select from issue_coupon(${holder}, ${coupon})`;
  const admin = (body: unknown = {}) => ({ token: adminToken, body });
  const [claim] = await scratch.admin`select claim_code from wallet(${holder})`;
  const start = Date.now() + (40 + coupon) * 86_400_000;
  return [
    [`POST /coupons/${coupon}/issue`, { token: await userToken(user) }, "issued", "already_issued"],
    [`POST /coupons/${coupon}/issue`, { token: await userToken(holder) }, "already_issued", "already_issued"],
    [
      "POST /claims/use",
      { token: serviceToken, body: { claim_code: claim?.["claim_code"], reference: "r" } },
      "used",
      "used",
    ],
    [
      `POST /coupons/${coupon}/use`,
      { token: await userToken(holder), body: { reference: "r" } },
      "used",
      "used",
    ],
    [`POST /coupons/${coupon}/undo-use`, admin({ user_id: holder, reason: "r" }), "restored", "not_used"],
    [`POST /coupons/${coupon}/count`, admin({ count: 77 }), "changed", "unchanged"],
    [`POST /coupons/${coupon}/pause`, admin(), "paused", "already_paused"],
    [
      "POST /coupons",
      admin({
        code: `N${coupon}`,
        message: "m",
        description: "d",
        start_time: new Date(start).toISOString(),
        expiry: new Date(start + 86_400_000).toISOString(),
        count: 5,
        metadata: {},
      }),
      "created",
      "already_created",
    ],
    [
      "POST /plan",
      admin({
        weekday: 1,
        slot: 1,
        code_pattern: "LUNCH-{date}",
        message: "m",
        description: "d",
        local_start: "12:00",
        local_expiry: "14:00",
        count: coupon,
      }),
      "planned",
      "unchanged",
    ],
    [`POST /users/${user}/forget`, admin({ reason: "r" }), "forgotten", "already_forgotten"],
  ];
}

for (const by of ["pg_cancel_backend", "pg_terminate_backend"] as const)
  test(`${by}() of a session that waits for its standby: unknown, and a retry tells`, async () => {
    for (const [route, call, first, again] of await commands()) {
      await loseStandby();
      const [answer] = await Promise.all([app.call(route, call), endWait(by)]);
      assert.deepEqual([answer.status, answer.body.outcome], [503, "outcome_unknown"], route);
      assert.ok(answer.headers.get("retry-after"));
      await giveUpStandby();
      const retried = await app.call(route, call);
      // A session that ended while it waited has committed, as one whose wait was cancelled.
      assert.equal(retried.body.outcome, again, `${route}, ${first} at first`);
    }
    assert.deepEqual([...(await scratch.admin`select * from reconcile()`)], []);
  });

test("a batch whose wait is cancelled is unknown for each of its requests", async () => {
  const { newUsers, newCoupon } = things;
  const [users, coupon] = [await newUsers(5), await newCoupon({ count: 4 })];
  await loseStandby();
  const asked = Promise.all(users.map((user) => app.issue(coupon, user)));
  // The first request goes alone, and the others in the batch behind it.
  await endWait("pg_cancel_backend");
  await endWait("pg_cancel_backend");
  assert.deepEqual(
    (await asked).map(({ status, body }) => [status, body.outcome]),
    users.map(() => [503, "outcome_unknown"]),
  );
  await giveUpStandby();
  const retried = await Promise.all(users.map((user) => app.issue(coupon, user)));
  assert.deepEqual(
    retried.map(({ body }) => [body.outcome, body.position]),
    [...[1, 2, 3, 4].map((position) => ["already_issued", position]), ["sold_out", undefined]],
  );
});

test("a list of users is unknown from the line on of which that is so", async () => {
  await loseStandby();
  const body = '{"user_id": 900001, "display_name": "Ann"}\n';
  const headers = { "content-type": "application/x-ndjson" };
  const [answer] = await Promise.all([
    app.call("POST /users/import", { token: adminToken, body, headers }),
    endWait("pg_cancel_backend"),
  ]);
  assert.deepEqual(answer.body, [
    {
      outcome: "outcome_unknown",
      detail: "The database did not answer; the request may have been done. Send the same request again.",
      next_line: 1,
    },
  ]);
});

test("other notices change nothing", async () => {
  const [user, coupon] = [await things.newUser(), await things.newCoupon()];
  await scratch.owner.unsafe(`
    create function coupon.shout() returns trigger language plpgsql as
    $$ begin raise warning 'canceling wait for synchronous replication due to user request'; return null; end $$;
    create trigger shout after insert on coupon.user_coupons for each row execute function coupon.shout()`);
  assert.equal((await app.issue(coupon, user)).body.outcome, "issued");
  await scratch.owner.unsafe("drop function coupon.shout() cascade");
});

test("./sd sql says so beside the row", async () => {
  const [user, coupon] = [await things.newUser(), await things.newCoupon()];
  await loseStandby();
  const run = runSd(["sql", `select outcome from issue_coupon(${user}, ${coupon})`], {
    dataDir: await temporaryDirectory(),
    env: { DATABASE_URL: scratch.setupUrl },
  });
  await endWait("pg_cancel_backend");
  const { status, stdout, stderr } = await run;
  assert.deepEqual([status, stdout.includes("issued")], [0, true]);
  assert.match(
    stderr,
    /^warning: the wait for the synchronous standby was cancelled\. What was done is committed here, and a failover may lose it\.$/m,
  );
});

test("a long statement that waits for its standby just now: nothing is stalled", async (t) => {
  const sessions = open(targetOf(scratch.apiUrl), 2, { closed() {}, unreplicated() {} });
  t.after(() => sessions.end({ timeout: 1 }));
  await loseStandby();
  const statement = sessions`select pg_sleep(2.1), pg_logical_emit_message(true, 'test', '')`.execute();
  await until(async () => (await superuser.unsafe(WAITERS)).count === 1, "it waits");
  let looks = 0;
  const looking = new Proxy(sessions, {
    apply: (_, __, [text, ...values]: Parameters<Sql>) => {
      looks += 1;
      // Its wait is over by the last look.
      const before = looks === 3 ? giveUpStandby().then(() => statement) : Promise.resolve();
      return before.then(() => sessions(text, ...values));
    },
  });
  assert.deepEqual(await prove(looking, "writes"), { waitFor: "synchronous (nobody)", isStalled: false });
  assert.equal(looks, 3);
});

test("readiness is told which commits wait, before the other calls are", async () => {
  const [user, coupon] = [await things.newUser(), await things.newCoupon()];
  const waiting = async () => (await app.db.schemaVersion()).waiting;
  assert.deepEqual(await waiting(), []);
  await loseStandby();
  const asked = app.issue(coupon, user);
  await until(async () => (await superuser.unsafe(WAITERS)).count === 1, "it waits");
  const [first, second] = [await waiting(), await waiting()];
  assert.match(first.join(), /^\d+ [\d.]+$/);
  assert.deepEqual(second, first, "the same commit");
  await giveUpStandby();
  assert.equal((await asked).body.outcome, "issued");
  assert.deepEqual(await waiting(), []);
});

test("readiness, asked again and again while commits wait for long: one reason, and none afterwards", async () => {
  const [user, coupon] = [await things.newUser(), await things.newCoupon()];
  const probes = async () => {
    const told: string[] = [];
    for (let i = 0; i < 40; i++) {
      const { status, body } = await app.call("GET /readyz");
      told.push(`${status} ${body.outcome ?? body.status}`);
    }
    return told;
  };
  await loseStandby();
  const asked = app.issue(coupon, user);
  await until(async () => {
    const old = await superuser.unsafe(`${WAITERS} and query_start < clock_timestamp() - interval '2 s'`);
    return old.count === 1;
  }, "a commit waits for long");
  assert.deepEqual(await probes(), Array(40).fill("503 writes_stalled"));
  await giveUpStandby();
  await asked;
  await until(async () => (await superuser.unsafe(WAITERS)).count === 0, "no commit waits");
  assert.deepEqual(await probes(), Array(40).fill("200 ok"));
});

test("no standby for long: quick refusals, few connections, and all goes on with the standby", async (t) => {
  const { newUsers, newCoupon } = things;
  const callMs = 4_000;
  const server = await openApp(scratch.apiUrl, { database: { callMs } });
  t.after(() => server.close());
  const coupons = await Promise.all([1, 2, 3, 4].map(() => newCoupon({ count: 100 })));
  const [holders, spare] = [await newUsers(4), await newUsers(20)];
  const tokens = await Promise.all(holders.map(userToken));
  /** Until all answers of a round were there, ms. */
  const took: number[] = [];
  /** A grant, which keeps the issuing lock while it waits, and four uses, at once. */
  const round = async () => {
    let answers: Awaited<ReturnType<App["call"]>>[] = [];
    took.push(
      await timed(async () => {
        answers = await Promise.all([
          server.issue(coupons[0] as number, spare.pop() as number),
          ...coupons.map((coupon, i) =>
            server.call(`POST /coupons/${coupon}/use`, {
              token: tokens[i] as string,
              body: { reference: "r" },
            }),
          ),
        ]);
      }),
    );
    return answers;
  };
  const readiness = async (of: App) => {
    const { status, body } = await of.call("GET /readyz");
    return [status, body.outcome ?? body.status];
  };
  const outcomesOf = (answers: Awaited<ReturnType<typeof round>>) => [
    ...new Set(answers.map(({ status, body }) => `${status} ${body.outcome}`)),
  ];
  const connections = async () =>
    (await superuser`select from pg_stat_activity where application_name = ${`coupon-server ${process.pid}`}`)
      .count;

  for (const [i, holder] of holders.entries())
    assert.equal((await server.issue(coupons[i] as number, holder)).body.outcome, "issued");
  const others = await connections();
  await standby.stop("SIGINT");
  await loseStandby("walreceiver");
  assert.deepEqual(await readiness(server), [200, "ok"], "nobody waits");
  assert.deepEqual(outcomesOf(await round()), ["503 outcome_unknown"]);
  await until(async () => {
    const old = await superuser.unsafe(`${WAITERS} and query_start < clock_timestamp() - interval '2 s'`);
    return old.count === 5;
  }, "five commits wait");
  for (let i = 0; i < 10; i++) {
    const answers = await round();
    assert.deepEqual(outcomesOf(answers), ["503 writes_stalled"]);
    for (const { headers } of answers) assert.ok(headers.get("retry-after"));
    assert.ok((await connections()) <= others + 2 * CONNECTIONS);
  }
  // Its deadlines: for a turn, and for the database. The first round waits for the standby in vain, the others do not.
  for (const ms of took) assert.ok(ms <= 2_000 + callMs, `${took}`);
  assert.ok(Math.min(...took.slice(1)) <= 1_000, `at once: ${took}`);
  t.diagnostic(`answers after ${took.map(Math.round).join(", ")} ms`);
  const who = await withConnection(
    node.target,
    (sql) => sql`select usesuper from pg_user where usename = user`,
  );
  assert.deepEqual([...who], [{ usesuper: true }], "a superuser can log in");
  assert.equal((await superuser.unsafe(WAITERS)).count, 5);
  assert.deepEqual(await readiness(server), [503, "writes_stalled"]);
  assert.deepEqual(await readiness(app), [503, "writes_stalled"], "another server knows it too");
  const lists = await server.call("GET /coupons/live", { token: serviceToken });
  assert.equal(lists.status, 200);
  const metrics = await server.ask("/metrics", { headers: { authorization: `Bearer ${metricsToken}` } });
  assert.match(await metrics.text(), /^coupon_commit_waits_for\{what="synchronous \(walreceiver\)"\} 1$/m);

  const told = await runSd(["status"], {
    dataDir: await temporaryDirectory(),
    env: { DATABASE_URL: scratch.setupUrl },
  });
  // And the commit of loseStandby().
  assert.match(
    told.stdout,
    /commit +waits for synchronous \(walreceiver\); sessions that do: 6, the longest for [\d.]+ s$/m,
  );

  const issue = (user: number) => server.issue(coupons[1] as number, user);
  const [asking = 0, next = 0] = spare;
  const found = await meanwhile(
    () => issue(asking),
    async () => {
      await standby.start();
      await until(async () => {
        const back =
          await superuser`select from pg_stat_replication where (state, sync_state) = ('streaming', 'sync')`;
        return back.count > 0;
      }, "the standby is back");
      return timed(() => until(async () => (await issue(next)).status < 300, "it is served"));
    },
  );
  t.diagnostic(`served ${Math.round(found)} ms after the standby's return`);
  assert.ok(found <= 2_000, `${found} ms`);
  await until(async () => (await readiness(server))[0] === 200, "it is ready");
  assert.equal((await superuser.unsafe(WAITERS)).count, 0);
});

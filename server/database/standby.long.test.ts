/** A database that takes no writes: a server of it is not ready, says why, and what it is asked was not done. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { adminToken, bound, openApp, userToken } from "../../bench/harness/app.ts";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { makeLogin } from "../../bench/harness/cluster.ts";
import { createThings } from "../../bench/harness/coupons.ts";
import { type Node, startNodes, testedBin } from "../../bench/harness/nodes.ts";
import { options as pgbouncer, startPgBouncer } from "../../bench/harness/pgbouncer.ts";
import { makeTemplate, type Scratch, scratchDatabase } from "../../bench/harness/scratch.ts";
import { timed } from "../../bench/harness/stalls.ts";
import { meanwhile, until } from "../../bench/harness/waiting.ts";

type App = Awaited<ReturnType<typeof openApp>>;

let node: Node;
let scratch: Scratch;
let [coupon, holder, user] = [0, 0, 0];
/** Who have nothing yet. */
let others: number[] = [];

before(async () => {
  [node] = await startNodes(1, await testedBin());
  const serverUrl = await makeLogin(node.target);
  await makeTemplate(serverUrl);
  scratch = await scratchDatabase(serverUrl);
  const { newCoupon, newUser, newUsers } = createThings(scratch.admin);
  [coupon, holder, user] = [await newCoupon({ count: 100 }), await newUser(), await newUser()];
  others = await newUsers(10);
  await scratch.admin`select from issue_coupon(${holder}, ${coupon})`;
  await Promise.all([scratch.owner.end({ timeout: 1 }), scratch.admin.end({ timeout: 1 })]);
});

after(cleanUp);

/** The same database again, as a hot standby of a primary that is gone. */
async function restartAsStandby(): Promise<void> {
  await node.stop("SIGINT");
  await node.follow(node);
  await node.start();
}

const readiness = async (app: App) => {
  const { status, body } = await app.call("GET /readyz");
  return [status, body.outcome ?? body.status, body.detail];
};
const notReady = (why: string) => [503, "database_unavailable", why];
const STANDBY = "The database is a standby.";
const READ_ONLY = "The database takes no writes: default_transaction_read_only is on.";

/** Asserts that nothing can be issued or used, and that this is not told as "busy" or as unknown. */
async function assertUnavailable(app: App): Promise<void> {
  const answers = await Promise.all([
    app.issue(coupon, user),
    app.issue(coupon, holder),
    app.call(`POST /coupons/${coupon}/use`, { token: await userToken(holder), body: { reference: "r" } }),
  ]);
  for (const { status, body } of answers)
    assert.deepEqual([status, body.outcome], [503, "database_unavailable"], JSON.stringify(body));
}

/** What a pool has found holds for a moment, and readiness has a pool of its own. */
const untilAnswered = (app: App, who: number) =>
  until(async () => (await app.issue(coupon, who)).body.outcome === "already_issued", "its coupon is told");

test("a hot standby is not ready, until it is promoted", async (t) => {
  await restartAsStandby();
  const app = await openApp(scratch.apiUrl);
  t.after(() => app.close());
  assert.deepEqual(await readiness(app), notReady(STANDBY));
  await assertUnavailable(app);
  assert.equal((await app.call("GET /coupons/live", { token: await userToken(1) })).status, 503);

  await node.promote();
  await until(async () => (await readiness(app))[0] === 200, "it is ready");
  await untilAnswered(app, holder);
  assert.equal((await app.issue(coupon, user)).body.outcome, "issued");
});

test("a primary that becomes a standby under a server", async (t) => {
  const app = await openApp(scratch.apiUrl);
  t.after(() => app.close());
  assert.deepEqual((await readiness(app)).slice(0, 2), [200, "ok"]);
  assert.equal((await app.issue(coupon, holder)).body.outcome, "already_issued");
  await restartAsStandby();
  // A call that meets the end of its connection is told so; from the next one on it is a standby.
  await until(async () => (await app.issue(coupon, user)).body.outcome === "database_unavailable", "noticed");
  await assertUnavailable(app);
  await until(async () => (await readiness(app))[2] === STANDBY, "readiness says so");
  await node.promote();
  await until(async () => (await readiness(app))[0] === 200, "it is ready");
});

test("default_transaction_read_only is noticed though nobody issues, and lists go on", async (t) => {
  const app = await openApp(scratch.apiUrl);
  t.after(() => app.close());
  assert.deepEqual((await readiness(app)).slice(0, 2), [200, "ok"]);
  await node.run("alter system set default_transaction_read_only = on", "select pg_reload_conf()");
  // Sessions take a new setting between two statements.
  await until(async () => (await readiness(app))[2] === READ_ONLY, "readiness says so");
  await assertUnavailable(app);
  const { status, body } = await app.call("GET /coupons/live", { token: await userToken(1) });
  assert.deepEqual([status, body.coupons.length], [200, 1]);
  await node.run("alter system set default_transaction_read_only = off", "select pg_reload_conf()");
  await until(async () => (await readiness(app))[0] === 200, "it is ready");
  await untilAnswered(app, user);
});

for (const [where, options, urlOf] of [
  ["its only host", {}, async () => scratch.apiUrl],
  [
    "PgBouncer",
    pgbouncer,
    async () => {
      const { url } = await startPgBouncer(scratch.apiUrl, "transaction");
      return `${url}${url.includes("?") ? "&" : "?"}pgbouncer=true`;
    },
  ],
] as const)
  test(`a database that restarts is found within 2 s of its being there: ${where}`, options, async (t) => {
    const app = await openApp(await urlOf());
    t.after(() => app.close());
    await untilAnswered(app, holder);
    const [inTime, late]: [number[], number[]] = [[], []];
    // Two times of three: a busy machine may hold up PostgreSQL and PgBouncer, which are other processes.
    while (inTime.length < 2 && late.length < 2) {
      await node.stop("SIGINT");
      let refused = 0;
      await until(async () => {
        const { body } = await app.issue(coupon, holder);
        refused = body.outcome === "database_unavailable" ? refused + 1 : 0;
        return refused === 10;
      }, "nobody is served");
      const next = others.pop() as number;
      const took = await meanwhile(
        () => app.issue(coupon, holder),
        async () => {
          await node.start();
          await node.run("select pg_logical_emit_message(true, 'test', '')");
          return timed(() =>
            until(async () => (await app.issue(coupon, next)).status === 201, "it is found"),
          );
        },
      );
      t.diagnostic(`found ${Math.round(took)} ms after a commit`);
      (took <= 2_000 ? inTime : late).push(took);
    }
    assert.equal(inTime.length, 2, `${late} ms`);
  });

test("one call that meets a session without writes: none of the pools keeps its own", async (t) => {
  const app = await openApp(scratch.apiUrl);
  t.after(() => app.close());
  const [first, second] = others as [number, number];
  const use = async (who: number) => {
    const call = { token: await userToken(who), body: { reference: "r" } };
    return (await app.call(`POST /coupons/${coupon}/use`, call)).body.outcome;
  };
  let count = 100;
  const restock = async () => {
    count += 1;
    return (await app.call(`POST /coupons/${coupon}/count`, { token: adminToken, body: { count } })).body
      .outcome;
  };
  const everything = async (who: number) => [
    (await app.issue(coupon, who)).body.outcome,
    await use(who),
    await restock(),
  ];
  await untilAnswered(app, holder);
  assert.deepEqual(await everything(first), ["issued", "used", "changed"]);
  // The next sessions take writes, as where a proxy leads to another node by now; those that there are do not.
  await bound(scratch, "default_transaction_read_only = off");
  await node.run("alter system set default_transaction_read_only = on", "select pg_reload_conf()");
  await until(async () => (await restock()) === "database_unavailable", "a session takes no writes");
  assert.deepEqual(await everything(second), ["issued", "used", "changed"]);
  await node.run("alter system set default_transaction_read_only = off", "select pg_reload_conf()");
});

/** READ_DATABASE_URL: what a standby answers, whose reads are the primary's, and when a standby is left. */
import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { adminToken, openApp, userToken } from "../../bench/harness/app.ts";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { makeLogin } from "../../bench/harness/cluster.ts";
import { createThings } from "../../bench/harness/coupons.ts";
import { type Node, startNodes, testedBin } from "../../bench/harness/nodes.ts";
import { options as pgbouncer, startPgBouncer } from "../../bench/harness/pgbouncer.ts";
import { makeTemplate, type Scratch, scratchDatabase } from "../../bench/harness/scratch.ts";
import { until } from "../../bench/harness/waiting.ts";
import { targetOf } from "../../db/target.ts";
import type { Reason } from "./standby.ts";

let primary: Node;
let standby: Node;
let other: Node;
let scratch: Scratch;
let things: ReturnType<typeof createThings>;

before(async () => {
  [primary, standby, other] = (await startNodes(3, await testedBin())) as [Node, Node, Node];
  const serverUrl = await makeLogin(primary.target);
  await makeTemplate(serverUrl);
  scratch = await scratchDatabase(serverUrl);
  things = createThings(scratch.admin);
});

after(cleanUp);

const place = ({ port }: Node) => `127.0.0.1:${port}`;

/** A server that reads from these, and what it counts. */
async function serve(t: TestContext, readUrl: string, url = scratch.apiUrl) {
  const app = await openApp(url, { env: { READ_DATABASE_URL: readUrl } });
  t.after(() => app.close());
  const counts = app.dependencies.db.standby;
  assert.ok(counts);
  const { reads, left } = counts;
  const walletOf = async (user: number, headers: Record<string, string> = {}) => {
    const { status, body } = await app.call(`GET /users/${user}/coupons`, {
      token: await userToken(user),
      headers,
    });
    assert.equal(status, 200, JSON.stringify(body));
    return body.coupons.map(({ coupon_id }: { coupon_id: number }) => coupon_id);
  };
  /** Whatever its answer is. */
  const look = async () => void (await app.call("GET /users/1/coupons", { token: await userToken(1) }));
  return {
    app,
    reads,
    left,
    walletOf,
    look,
    /** Returns once it reads from the standby. */
    isRead: () =>
      until(async () => {
        const before = reads.standby;
        await look();
        return reads.standby > before;
      }, "the standby is read from"),
    isLeft: (reason: Reason, ask: () => Promise<unknown> = () => walletOf(1)) =>
      until(
        async () => {
          await ask();
          return left[reason] > 0;
        },
        () => `it is left for ${reason}: ${JSON.stringify(left)}`,
      ),
  };
}

test("reads are the standby's, and those of who has just changed something the primary's", async (t) => {
  const [coupon, user] = [await things.newCoupon({ count: 2 }), await things.newUser()];
  const { app, reads, left, isRead, walletOf } = await serve(
    t,
    `postgres://${place(standby)}?target_session_attrs=standby`,
  );
  assert.equal((await app.issue(coupon, user)).body.outcome, "issued");
  assert.deepEqual(await walletOf(user, { "x-changed-ms": "0" }), [coupon]);
  await isRead();
  await until(async () => (await walletOf(user)).length === 1, "the standby has it");
  const routes = [
    `/coupons/${coupon}`,
    "/coupons/live?page_size=5",
    "/coupons/upcoming",
    `/coupons?code=no-such`,
    "/coupons/list",
    `/coupons/${coupon}/stats`,
    `/coupons/${coupon}/timeline?bucket=60`,
    `/coupons/${coupon}/grants`,
    "/coupons/status",
    "/daily-summary",
    "/audit",
    "/users",
    "/groups",
    `/users/${user}/coupons`,
  ];
  for (const route of routes) {
    const before = reads.standby;
    // On a busy machine it may be left for a while.
    await until(async () => {
      const { status } = await app.call(`GET ${route}`, { token: adminToken });
      assert.equal(status, route.includes("no-such") ? 404 : 200, route);
      return reads.standby > before;
    }, `${route} is read from the standby`);
  }
  // What a standby does not know may be there.
  await standby.run("select pg_wal_replay_pause()");
  const made = await things.newCoupon();
  const { body } = await app.call(`GET /coupons/${made}/stats`, { token: adminToken });
  assert.equal(body.coupon_id, made);
  // Nor is an argument wrong because a standby does not know it.
  const [entry] = await scratch.admin`select id from audit_trail(page_size => 1)`;
  const older = await app.call(`GET /audit?page_size=1&before=${entry?.["id"]}`, { token: adminToken });
  const wrong = await app.call("GET /audit?before=999999999", { token: adminToken });
  await standby.run("select pg_wal_replay_resume()");
  assert.equal(older.status, 200, JSON.stringify(older.body));
  assert.deepEqual([wrong.status, wrong.body.detail], [400, "before: must be an id of the audit"]);
  assert.deepEqual([left.no_standby, left.other_database, left.timeline], [0, 0, 0]);
});

for (const [mode, parameters] of [
  ["session", ""],
  ["transaction", "?pgbouncer=true"],
] as const)
  test(`through PgBouncer, pool_mode = ${mode}: the standby's reads do not fail`, pgbouncer, async (t) => {
    const user = await things.newUser();
    const { url } = await startPgBouncer(scratch.apiUrl.replace(/@[^/]*/, `@${place(standby)}`), mode);
    const { reads, left, isRead, walletOf } = await serve(t, url + parameters);
    await isRead();
    for (const told of [reads, left])
      for (const key of Object.keys(told)) (told as Record<string, number>)[key] = 0;
    // When it is behind, the primary answers for a second: that may be now and then, on a busy machine.
    await until(
      async () => {
        assert.deepEqual(await walletOf(user), []);
        return reads.standby >= 50;
      },
      () => `the standby answers: ${JSON.stringify({ reads, left })}`,
    );
    assert.equal(left.failed, 0);
  });

test("a standby that lags is left, and taken again", async (t) => {
  const [coupon, user] = [await things.newCoupon(), await things.newUser()];
  const { app, isRead, isLeft, walletOf } = await serve(t, `postgres://${place(standby)}`);
  await isRead();
  await standby.run("select pg_wal_replay_pause()");
  // The grant is younger: on a busy machine its answer comes a while after the commit.
  const began = performance.now();
  assert.equal((await app.issue(coupon, user)).body.outcome, "issued");
  assert.deepEqual(await walletOf(user, { "x-changed-ms": "0" }), [coupon], "by the primary");
  await isLeft("behind");
  const late = performance.now() - began;
  assert.deepEqual(await walletOf(user), [coupon]);
  assert.ok(late >= 500, `it is left after ${late} ms`);
  await standby.run("select pg_wal_replay_resume()");
  await isRead();
});

test("what was answered a second ago is there, whoever answers", async (t) => {
  const { app, isRead, walletOf } = await serve(t, `postgres://${place(standby)}`);
  await isRead();
  await standby.run("select pg_wal_replay_pause()");
  const coupon = await things.newCoupon();
  const user = await things.newUser();
  assert.equal((await app.issue(coupon, user)).body.outcome, "issued");
  const issued = performance.now();
  for (let elapsed = 0; elapsed < 2_500; ) {
    elapsed = performance.now() - issued;
    const seen = await walletOf(user);
    if (elapsed > 1_000) assert.deepEqual(seen, [coupon], `${elapsed} ms`);
  }
  await standby.run("select pg_wal_replay_resume()");
});

test("a standby that dies: no read fails, and of two the other one is taken", async (t) => {
  const both = `postgres://${[primary, standby, other].map(place)}`;
  const { reads, left, isRead, walletOf } = await serve(t, both);
  await isRead();
  await standby.stop("SIGQUIT");
  const before = reads.standby;
  while (reads.standby < before + 5) await walletOf(1);
  await other.stop("SIGQUIT");
  while (left.failed < 1) await walletOf(1);
  await standby.start();
  await other.start();
  await isRead();
  assert.deepEqual([left.other_database, left.timeline, left.no_standby], [0, 0, 0]);
});

test("what is no standby of this database is never read from", async (t) => {
  const elsewhere = targetOf(process.env["SCRATCH_SERVER_URL"] as string);
  for (const [url, reason] of [
    [`postgres://${place(primary)}`, "no_standby"],
    [elsewhere.url, "other_database"],
    [
      `${targetOf(scratch.apiUrl)
        .on("postgres")
        .url.replace(/@[^/]*/, `@${place(standby)}`)}`,
      "other_database",
    ],
  ] as const) {
    const { reads, isLeft } = await serve(t, url);
    await isLeft(reason);
    assert.equal(reads.standby, 0, url);
  }
});

test("after a failover: the new primary is no standby, and a standby of the old one is left until it follows", async (t) => {
  const places = [primary, standby].map(place).join(",");
  const { reads, left, isRead, isLeft, look } = await serve(
    t,
    `postgres://${place(other)}`,
    scratch.apiUrl.replace(/@[^/]*/, `@${places}`),
  );
  const promoted = await serve(
    t,
    `postgres://${place(standby)}`,
    scratch.apiUrl.replace(/@[^/]*/, `@${places}`),
  );
  await isRead();
  await promoted.isRead();
  await primary.stop("SIGQUIT");
  await standby.promote();
  // Whatever is answered: until they have found the new primary, none may be.
  await promoted.isLeft("no_standby", promoted.look);
  await isLeft("timeline", look);
  await other.stop("SIGINT");
  await other.follow(standby);
  await other.start();
  // A standby writes down its timeline at its next restart point; the operator's checkpoint is one.
  const before = reads.standby;
  await until(
    async () => {
      await standby.run("checkpoint");
      await other.run("checkpoint");
      await look();
      return reads.standby > before;
    },
    () => `it follows: ${JSON.stringify(left)}`,
  );
});

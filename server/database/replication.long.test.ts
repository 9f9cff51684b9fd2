/** A primary whose synchronous standby is missing, and somebody who ends the waits for it: what may be lost is told as unknown. */
import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { adminToken, type Call, openApp, serviceToken, userToken } from "../../bench/harness/app.ts";
import { createThings } from "../../bench/harness/coupons.ts";
import { makeTemplate, type Scratch, scratchDatabase } from "../../bench/harness/scratch.ts";
import { runSd } from "../../bench/harness/sd.ts";
import { until } from "../../bench/harness/waiting.ts";
import { connect, type Sql } from "../../db/connect.ts";
import { startEmbedded, stopEmbedded } from "../../db/embedded/embedded.ts";

type App = Awaited<ReturnType<typeof openApp>>;

let dataDir: string;
let directory: string;
let scratch: Scratch;
let superuser: Sql;
let app: App;
let things: ReturnType<typeof createThings>;

before(async () => {
  const parent = await realpath(await mkdtemp(join(tmpdir(), "server-replication-")));
  await chmod(parent, 0o755);
  dataDir = join(parent, "data");
  const { url, directory: home } = await startEmbedded({ dataDir, settings: { shared_buffers: "16MB" } });
  directory = home;
  await makeTemplate(url);
  scratch = await scratchDatabase(url);
  const itsUrl = new URL(scratch.setupUrl);
  itsUrl.username = "postgres";
  itsUrl.password = await readFile(join(dataDir, "superuser.password"), "utf8");
  superuser = connect(itsUrl.href);
  things = createThings(scratch.admin);
  app = await openApp(scratch.apiUrl);
});

after(async () => {
  await app.close();
  await superuser.end({ timeout: 1 });
  await Promise.all([scratch.owner.end({ timeout: 1 }), scratch.admin.end({ timeout: 1 })]);
  await stopEmbedded({ dataDir });
  await rm(directory, { recursive: true, force: true });
  await rm(join(dataDir, ".."), { recursive: true });
});

/** Sessions of ours that wait for the standby, besides the one of a commit that changes nothing. */
const WAITERS = `
  select pid from pg_stat_activity where wait_event = 'SyncRep' and usename in ('coupon_api', 'coupon_admin')`;
let commit: PromiseLike<unknown>;

/** From now on commits wait for a standby that is not there. */
async function loseStandby(): Promise<void> {
  await superuser`alter system set synchronous_standby_names = 'nobody'`;
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

/** Ends the waits for the standby by this function, once exactly `count` sessions wait. */
async function endWaits(by: "pg_cancel_backend" | "pg_terminate_backend", count = 1): Promise<void> {
  await until(
    async () => (await superuser.unsafe(WAITERS)).count === count,
    `${count} sessions wait for the standby`,
  );
  // The session may have been told already, and not have gone on.
  await superuser.unsafe(`select ${by}(pid) from (${WAITERS}) w`);
  await until(async () => (await superuser.unsafe(WAITERS)).count === 0, "none waits any more");
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
      const [answer] = await Promise.all([app.call(route, call), endWaits(by)]);
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
  await endWaits("pg_cancel_backend");
  await endWaits("pg_cancel_backend");
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
    endWaits("pg_cancel_backend"),
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
    dataDir: join(dataDir, "..", "none"),
    env: { DATABASE_URL: scratch.setupUrl },
  });
  await endWaits("pg_cancel_backend");
  const { status, stdout, stderr } = await run;
  assert.deepEqual([status, stdout.includes("issued")], [0, true]);
  assert.match(
    stderr,
    /^warning: the wait for the synchronous standby was cancelled\. What was done is committed here, and a failover may lose it\.$/m,
  );
});

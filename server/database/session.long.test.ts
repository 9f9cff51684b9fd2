import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Answer, adminToken, bound, openApp, serviceToken, userToken } from "../../bench/harness/app.ts";
import { loseZone, makeCoupon, makeUsers } from "../../bench/harness/coupons.ts";
import { options as pgbouncer, startPgBouncer } from "../../bench/harness/pgbouncer.ts";
import { dropDatabase, type Scratch, scratchDatabase } from "../../bench/harness/scratch.ts";
import { until } from "../../bench/harness/waiting.ts";
import { withConnection } from "../../db/connect.ts";
import { setUp } from "../../db/setup.ts";
import { type Target, targetOf } from "../../db/target.ts";
import { explain } from "./errors.ts";
import { open, parseNumber, prove, wasSent } from "./session.ts";

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
const DAYS_3 = 3 * 86_400;

async function openScratch(t: TestContext): Promise<Scratch> {
  const scratch = await scratchDatabase();
  t.after(() => scratch.drop());
  return scratch;
}

/** A drop from its announcement to its use: each value is what it is whatever the session's settings are. */
async function assertRightAnswers(t: TestContext, url: string): Promise<void> {
  const app = await openApp(url);
  t.after(() => app.close());
  const admin = { token: adminToken };
  const users = [1, 2].map((user_id) => ({ user_id, display_name: `User ${user_id}` }));
  assert.equal((await app.call("POST /users", { ...admin, body: { users } })).status, 200);
  const create = async (code: string, startsInMs: number, count: number) => {
    const start = Date.now() + startsInMs;
    const { body } = await app.call("POST /coupons", {
      ...admin,
      body: {
        code,
        message: "m",
        description: "d",
        start_time: new Date(start).toISOString(),
        expiry: new Date(start + DAYS_3 * 1000).toISOString(),
        count,
        metadata: {},
      },
    });
    assert.equal(body.outcome, "created", JSON.stringify(body));
    return body.coupon_id as number;
  };
  // Only the function knows which letters a code may have.
  const wrong = { code: "ŞEKER", message: "m", description: "d", count: 9, metadata: {} };
  const times = { start_time: "2026-01-01T00:00:00Z", expiry: "2036-01-01T00:00:00Z" };
  const refused = await app.call("POST /coupons", { ...admin, body: { ...wrong, ...times } });
  assert.deepEqual([refused.status, refused.body.errors?.[0]?.member], [400, "code"]);
  const later = await create("LATER", DAYS_3 * 1000, 2);
  const now = await create("NOW", -1000, 1);

  const { coupons, server_time } = (await app.call("GET /coupons/upcoming", { token: serviceToken })).body;
  assert.match(server_time, RFC_3339);
  assert.match(coupons[0].start_time, RFC_3339);
  assert.ok(Math.abs(Date.parse(server_time) - Date.now()) < 60_000, server_time);
  assert.ok(Math.abs(coupons[0].starts_in - DAYS_3) < 60, coupons[0].starts_in);

  const early = await app.issue(later, 1);
  assert.equal(early.body.outcome, "not_started");
  assert.ok(Math.abs(early.body.starts_in - DAYS_3) < 60, early.body.starts_in);
  assert.ok(Math.abs(Number(early.headers.get("retry-after")) - DAYS_3) < 60);
  // A lease that was not given, as the question took too long, is asked for again by the next refusal.
  await until(async () => {
    assert.equal((await app.issue(later, 2)).body.outcome, "not_started");
    return app.issuing.leases.hits() > 0;
  });

  const granted = (await app.issue(now, 1)).body;
  assert.equal(granted.outcome, "issued");
  assert.match(granted.issued_at, RFC_3339);
  assert.match(granted.issued_on, /^\d{4}-\d\d-\d\d$/);
  const used = await app.call(`POST /coupons/${now}/use`, {
    token: await userToken(1),
    body: { reference: "r" },
  });
  assert.match(used.body.used_date, RFC_3339);

  const first = (await app.call("GET /users/1/coupons?page_size=1", { token: await userToken(1) })).body;
  assert.equal(first.coupons[0].issued_on, granted.issued_on);
  assert.match(first.coupons[0].expiry, RFC_3339);
  const before = await app.call(`GET /users/1/coupons?before=${granted.issued_on}`, {
    token: await userToken(1),
  });
  assert.deepEqual([before.status, before.body.coupons], [200, []]);
  const stats = (await app.call(`GET /coupons/${now}/stats`, admin)).body;
  assert.match(stats.first_issued_at, RFC_3339);
  assert.ok(stats.time_to_sell_out >= 1 && stats.time_to_sell_out < 60, stats.time_to_sell_out);
  assert.equal((await app.call("GET /coupons/status", admin)).status, 200);
}

/** What a database may set for its sessions, and what could change a text, a plan or what a statement means. */
const STRANGE = [
  ...["datestyle = 'German, DMY'", "intervalstyle = 'sql_standard'", "timezone = 'Asia/Kathmandu'"],
  ...["default_transaction_isolation = 'repeatable read'", "default_transaction_deferrable = on"],
  ...["lc_numeric = 'C.UTF-8'", "lc_monetary = 'C.UTF-8'", "lc_time = 'C.UTF-8'"],
  ...["extra_float_digits = -3", "bytea_output = 'escape'", "quote_all_identifiers = on", "xmlbinary = hex"],
  ...["standard_conforming_strings = off", "backslash_quote = on", "escape_string_warning = off"],
  ...["array_nulls = off", "transform_null_equals = on", "search_path = 'nowhere', pg_temp, coupon, public"],
  ...["client_min_messages = debug5", "client_encoding = 'LATIN1'", "check_function_bodies = off"],
  ...["jit = on", "jit_above_cost = 0", "plan_cache_mode = force_custom_plan", "enable_hashjoin = off"],
  ...["enable_indexscan = off", "from_collapse_limit = 1", "constraint_exclusion = on", "row_security = off"],
  ...["default_table_access_method = heap", "default_toast_compression = 'pglz'", "synchronous_commit = off"],
];

async function setStrangely(target: Target): Promise<void> {
  await withConnection(target, async (sql) => {
    for (const setting of STRANGE) await sql.unsafe(`alter database ${target.database} set ${setting}`);
  });
}

test("a database with other settings for its sessions", async (t) => {
  const scratch = await openScratch(t);
  await setStrangely(scratch.target);
  await assertRightAnswers(t, scratch.apiUrl);
});

test("a database that had other settings before it was set up", async (t) => {
  const server = targetOf(process.env["SCRATCH_SERVER_URL"] as string);
  const target = server.on(`coupon_strange_${randomBytes(6).toString("hex")}`);
  await withConnection(server, (sql) =>
    sql.unsafe(`create database ${target.database} encoding 'UTF8' template template0`),
  );
  t.after(() => withConnection(server, (sql) => dropDatabase(sql, target.database)));
  await setStrangely(target);
  await setUp(target);
  await assertRightAnswers(t, target.as("coupon_api").url);
  const [{ hint = "" } = {}] = await withConnection(
    target,
    (sql) =>
      sql`select obj_description('public.list_users(bigint, integer)'::regprocedure, 'pg_proc') as hint`,
  );
  assert.match(hint, /\\copy/, "texts keep their backslashes");
});

test("a login whose transactions are no read committed is refused, by a sentence", async (t) => {
  const scratch = await openScratch(t);
  await bound(scratch, "default_transaction_isolation = 'serializable'");
  const app = await openApp(scratch.apiUrl);
  t.after(() => app.close());
  const answer = await app.issue(1, 1);
  assert.deepEqual([answer.status, answer.body.outcome], [503, "database_unavailable"]);
  assert.match(
    JSON.stringify(app.failures()),
    /default_transaction_isolation serializable, and the server needs/,
  );
  const ready = await app.call("GET /readyz");
  assert.deepEqual([ready.status, ready.body.outcome], [503, "database_unavailable"]);
  assert.match(ready.body.detail, /default_transaction_isolation serializable/);
});

test("sessions that are not as they must be: the statement that is told mends them", async (t) => {
  const scratch = await openScratch(t);
  const { database } = scratch.target;
  const login = database.replace("scratch", "login");
  const run = (statement: string) => withConnection(scratch.target, (sql) => sql.unsafe(statement).simple());
  await run(`create role ${login} login password 'its own' in role coupon_api`);
  t.after(() =>
    withConnection(process.env["SCRATCH_SERVER_URL"] as string, (sql) => sql.unsafe(`drop role ${login}`)),
  );
  const ownUrl = scratch.target.withLogin(login, "its own").url;
  const readyAt = async (url: string) => {
    const app = await openApp(url);
    try {
      const { status, body } = await app.call("GET /readyz");
      return [status, body.detail];
    } finally {
      await app.close();
    }
  };
  const serializable =
    "The sessions of this login have default_transaction_isolation serializable, and the server needs";
  for (const [url, done, told] of [
    [
      scratch.apiUrl,
      `alter role coupon_api in database ${database} set default_transaction_isolation = 'serializable'`,
      `${serializable} read committed: alter role coupon_api in database ${database} reset default_transaction_isolation.`,
    ],
    [
      scratch.apiUrl,
      `alter role coupon_api in database ${database} set default_transaction_read_only = on`,
      `The sessions of this login have default_transaction_read_only on: alter role coupon_api in database ${database} reset default_transaction_read_only.`,
    ],
    [
      ownUrl,
      `alter role ${login} set default_transaction_read_only = on`,
      `The sessions of this login have default_transaction_read_only on: alter role ${login} reset default_transaction_read_only.`,
    ],
    [
      ownUrl,
      `alter database ${database} set default_transaction_isolation = 'serializable'`,
      `${serializable} read committed: alter role ${login} set default_transaction_isolation = 'read committed'.`,
    ],
    [
      ownUrl,
      `alter database ${database} set client_min_messages = error`,
      `The sessions of this login have client_min_messages error, and the server needs warning: alter role ${login} set client_min_messages = 'warning'.`,
    ],
    [
      ownUrl,
      `alter database ${database} set exit_on_error = on`,
      `The sessions of this login have exit_on_error on, and the server needs off: alter role ${login} set exit_on_error = 'off'.`,
    ],
  ] as const) {
    await run(done);
    assert.deepEqual(await readyAt(url), [503, told]);
    await run(/: (alter .*)\.$/.exec(told)?.[1] ?? "");
    assert.deepEqual(await readyAt(url), [200, undefined], done);
  }
  assert.deepEqual(
    await readyAt(withParameters(ownUrl, "options=-c%20default_transaction_isolation%3Dserializable")),
    [503, `${serializable} read committed: it comes with the connection, by its URL or a pooler.`],
  );
});

test("a login of one's own that is a member of coupon_api is served", async (t) => {
  const scratch = await openScratch(t);
  const login = scratch.target.database.replace("scratch", "login");
  const run = (statement: string) =>
    withConnection(process.env["SCRATCH_SERVER_URL"] as string, (sql) => sql.unsafe(statement));
  await run(`create role ${login} login password 'its own' in role coupon_api`);
  t.after(() => run(`drop role ${login}`));
  const app = await openApp(scratch.target.withLogin(login, "its own").url);
  try {
    const answer = await app.issue(1, 1);
    assert.deepEqual([answer.status, answer.body.outcome], [404, "coupon_not_found"]);
  } finally {
    await app.close();
  }
});

function withParameters(url: string, parameters: string): string {
  return `${url}${url.includes("?") ? "&" : "?"}${parameters}`;
}

for (const mode of ["session", "transaction"] as const)
  for (const ignored of ["", "IntervalStyle"])
    test(`PgBouncer, pool_mode = ${mode}, ignore_startup_parameters = ${ignored}`, pgbouncer, async (t) => {
      const scratch = await openScratch(t);
      const bouncer = await startPgBouncer(scratch.apiUrl, mode, ignored);
      t.after(() => bouncer.stop());
      await assertRightAnswers(
        t,
        mode === "transaction" ? withParameters(bouncer.url, "prepare=false") : bouncer.url,
      );
    });

/** Has everybody else who issues wait, once it has the lock. */
async function lockIssuing({ owner }: Scratch) {
  const session = await owner.reserve();
  await session`begin`;
  const locked = session`lock table coupon.issuing in exclusive mode`.then(() => {});
  return {
    locked,
    async release() {
      await session`rollback`;
      session.release();
    },
  };
}

test(
  "PgBouncer, pool_mode = transaction: 400 users ask two servers for 100 units, and its connections are killed meanwhile",
  pgbouncer,
  async (t) => {
    const scratch = await openScratch(t);
    // On a busy machine the lock is held for longer than the server waits.
    await bound(scratch, "lock_timeout = '120s'");
    await bound(scratch, "statement_timeout = '120s'");
    const bouncer = await startPgBouncer(scratch.apiUrl, "transaction");
    t.after(() => bouncer.stop());
    const url = withParameters(bouncer.url, "pgbouncer=true");
    const openOne = () => openApp(url, { database: { callMs: 30_000 }, lanes: { maxWaitMs: 120_000 } });
    const apps = await Promise.all([openOne(), openOne()]);
    let isOver = false;
    t.after(async () => {
      isOver = true;
      for (const app of apps) await app.close();
    });
    const users = Array.from({ length: 400 }, (_, i) => i + 1);
    await makeUsers(scratch.admin, users);
    const coupon = await makeCoupon(scratch.admin, { code: "LUNCH", count: 100 });
    const waiters = async () =>
      (
        await scratch.admin`
          select from pg_locks
          where relation = 'coupon.issuing'::regclass and not granted
            and database = (select oid from pg_database where datname = current_database())`
      ).count;

    const first = await lockIssuing(scratch);
    await first.locked;
    let unknown = 0;
    /** As a client does: whoever does not know asks again, the other server. */
    const insist = async (user: number, ask: (app: (typeof apps)[0]) => Promise<Answer>) => {
      for (let i = user; ; i++) {
        const answer = await ask(apps[i % 2] as (typeof apps)[0]);
        if (answer.status !== 503 || isOver) return answer.body;
        if (answer.body.outcome === "outcome_unknown") unknown += 1;
        await sleep(50);
      }
    };
    const claim = async (user: number) => {
      const { outcome, position } = await insist(user, (app) => app.issue(coupon, user));
      const token = await userToken(user);
      // Many at once, so that each server has several connections.
      const { coupons } = await insist(user, (app) => app.call(`GET /users/${user}/coupons`, { token }));
      return {
        user,
        outcome: outcome as string,
        position: position as number,
        coupons: coupons.length as number,
      };
    };
    const asking = Promise.all(users.map(claim));
    await until(async () => (await waiters()) === 2, "a batch of each server waits");
    const second = await lockIssuing(scratch);
    await until(async () => (await waiters()) === 3, "we wait behind them");
    await first.release();
    await second.locked;
    await until(async () => (await waiters()) === 2, "the next batch of each waits behind us");
    const [{ issued }] = (await scratch.admin`select issued from coupon.coupons`) as unknown as [
      { issued: number },
    ];
    assert.ok(issued >= 2 && issued < 100, `${issued} issued`);
    const killed = await withConnection(
      scratch.setupUrl,
      (sql) => sql`
        select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'coupon_api'`,
    );
    assert.ok(killed.count >= 2);
    await until(async () => unknown > 0, "somebody is told");
    await second.release();

    const told = await asking;
    t.diagnostic(`${issued} issued before, ${unknown} times unknown`);
    const refused = told.filter(({ outcome }) => outcome === "sold_out");
    const granted = told.filter(({ outcome }) => ["issued", "already_issued"].includes(outcome));
    assert.deepEqual([granted.length, refused.length], [100, 300]);
    for (const { coupons } of granted) assert.equal(coupons, 1);
    for (const { coupons } of refused) assert.equal(coupons, 0);
    const rows =
      await scratch.owner`select user_id::integer as user, position from coupon.user_coupons order by position`;
    assert.deepEqual(
      rows.map(({ position }) => position),
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
    assert.deepEqual(
      granted.map(({ user, position }) => ({ user, position })).sort((a, b) => a.position - b.position),
      [...rows],
    );
    assert.deepEqual([...(await scratch.admin`select * from reconcile()`)], []);
    for (const { logged } of apps) assert.doesNotMatch(JSON.stringify(logged), /prepared statement/);
    // What failed and was repeated unseen was rolled back; so does the driver where PostgreSQL does not know a prepared statement.
    await bouncer.stop();
    await until(async () => {
      const left = await scratch.admin`
        select from pg_stat_activity where datname = current_database() and usename = 'coupon_api'`;
      return left.count === 0;
    }, "its connections end");
    const [{ failed }] = (await scratch.admin`
      select xact_rollback::integer as failed from pg_stat_database where datname = current_database()`) as unknown as [
      { failed: number },
    ];
    t.diagnostic(`${killed.count} killed, ${failed} rolled back`);
    assert.ok(
      failed <= killed.count + 2,
      `${failed} rolled back, of which ${killed.count} killed and 2 of ours`,
    );
  },
);

test("a time zone that the database no longer knows is no mistake of the caller", async (t) => {
  const { owner, admin, apiUrl } = await openScratch(t);
  await makeUsers(admin, [1]);
  const coupon = await makeCoupon(admin, { code: "LUNCH", count: 1 });
  await loseZone(owner);
  const app = await openApp(apiUrl);
  t.after(() => app.close());
  const answer = await app.issue(coupon, 1);
  assert.deepEqual([answer.status, answer.body.outcome], [500, "internal_error"]);
  assert.match(JSON.stringify(app.failures()), /time zone \\"Gone\/Zone\\" not recognized/);
});

test("what PgBouncer did not pass on was not done", () => {
  for (const [message, kind] of [
    ["query_wait_timeout", "unavailable"],
    ["server login has been failing, try again later (server_login_retry)", "unavailable"],
    ["server conn crashed?", "unknown"],
  ])
    assert.equal(explain(Object.assign(new Error(message), { code: "08P01" })).kind, kind, message);
  const refused = Object.assign(new Error("unsupported startup parameter: x"), { code: "08P01" });
  assert.equal(explain(refused, false).kind, "unavailable");
});

test("a pooler that refuses a startup parameter: the call was never sent", pgbouncer, async (t) => {
  const scratch = await openScratch(t);
  const bouncer = await startPgBouncer(scratch.apiUrl, "transaction");
  t.after(() => bouncer.stop());
  const app = await openApp(withParameters(bouncer.url, "pgbouncer=true&options=-c%20jit%3Doff"));
  t.after(() => app.close());
  const answer = await app.issue(1, 1);
  assert.deepEqual([answer.status, answer.body.outcome], [503, "database_unavailable"]);
  assert.match(JSON.stringify(app.failures()), /unsupported startup parameter/);
});

test("a call that the driver gave to no session was not sent", async (t) => {
  const scratch = await openScratch(t);
  const call = async (url: string) => {
    const sql = open(targetOf(url), 1, { closed() {}, unreplicated() {} });
    t.after(() => sql.end({ timeout: 1 }));
    const running = sql`select 1`;
    const error = await running.then(
      () => "none",
      ({ code }) => code,
    );
    return [error, wasSent(running)];
  };
  assert.deepEqual(await call("postgres://nobody@127.0.0.1:1/nothing"), ["ECONNREFUSED", false]);
  assert.deepEqual(await call(scratch.target.on("nowhere").url), ["3D000", false]);
  assert.deepEqual(await call(scratch.apiUrl), ["none", true]);
});

test("a pooler's session in another encoding is refused; a time whose text depends on settings is not read", async (t) => {
  const { apiUrl } = await openScratch(t);
  const sql = open(targetOf(apiUrl), 1, { closed() {}, unreplicated() {} });
  t.after(() => sql.end({ timeout: 1 }));
  await prove(sql, "writes");
  await sql`set client_encoding = 'LATIN1'`;
  await assert.rejects(prove(sql, "writes"), {
    message:
      "The sessions of this login have client_encoding LATIN1, and the server needs UTF8: " +
      "it comes with the connection, by its URL or a pooler.",
  });
  for (const time of [
    "now()",
    "localtimestamp",
    "current_date",
    "localtime",
    "current_time",
    "interval '1 day'",
  ])
    await assert.rejects(
      sql.unsafe(`select ${time}`),
      /a time whose form depends on settings of the session$/,
      time,
    );
});

test("a number is read exactly, or not at all", () => {
  assert.equal(parseNumber("273853.123456"), 273_853.123456);
  for (const text of ["", "NaN", "Infinity", "3 days", "P3D", "9007199254740993"])
    assert.throws(() => parseNumber(text), RangeError, text);
});

import assert from "node:assert/strict";
import { chmod, mkdtemp, realpath, rm } from "node:fs/promises";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import {
  type Answer,
  adminToken,
  assertProblem,
  bound,
  holdCoupon,
  openApp,
  serviceToken,
  userToken,
} from "../../bench/harness/app.ts";
import { makeCoupon, makeUsers } from "../../bench/harness/coupons.ts";
import { makeTemplate, type Scratch, scratchDatabase } from "../../bench/harness/scratch.ts";
import { until, untilWaiting } from "../../bench/harness/waiting.ts";
import { withConnection } from "../../db/connect.ts";
import { embeddedStatus, startEmbedded, stopEmbedded } from "../../db/embedded/embedded.ts";
import { openSocket } from "../../db/socket.ts";
import type { DatabaseError } from "./errors.ts";
import { connectDb } from "./functions.ts";
import { whole } from "./pool.ts";

type App = Awaited<ReturnType<typeof openApp>>;

const details = {
  database_unavailable: "The database cannot be reached; nothing was done. Send the request again.",
  overloaded: "The database is busy; nothing was done. Send the request again.",
  outcome_unknown:
    "The database did not answer; the request may have been done. Send the same request again.",
};

/** A 503 of this outcome, that says when to come back and nothing of ours; /readyz adds why. */
function assertRefused(
  answer: Answer,
  outcome: keyof typeof details,
  detail: string = details[outcome],
): void {
  assertProblem(answer, 503, { outcome, detail });
  assert.match(answer.headers.get("retry-after") ?? "", /^[123]$/);
}

/** The one line that the log has on this answer's error. */
function failureOf(app: App, answer: Answer): [kind: unknown, sqlstate: unknown] {
  const lines = app.failures().filter((line) => line.request_id === answer.body.request_id);
  assert.equal(lines.length, 1, JSON.stringify(lines));
  return [lines[0].kind, lines[0].sqlstate];
}

/** A database of its own with one coupon and users 1 to 3. */
async function openScratch(t: TestContext): Promise<Scratch & { coupon: number }> {
  const scratch = await scratchDatabase();
  t.after(() => scratch.drop());
  return { ...scratch, coupon: await fill(scratch.admin) };
}

async function fill(admin: Scratch["admin"]): Promise<number> {
  await makeUsers(admin, [1, 2, 3]);
  return makeCoupon(admin, { code: "A", count: 10 });
}

const positions = async ({ owner }: Pick<Scratch, "owner">) =>
  (await owner`select user_id::integer, position from coupon.user_coupons order by position`).map((row) => ({
    ...row,
  }));

// ---- A network between --------------------------------------------------------------------------------------------

/**
 * A TCP proxy to the database. pass: as if it were not there. mute: takes all, passes nothing on. swallow: passes on what
 * is asked, and not what is answered. login: swallows once somebody has logged in. close: hangs up on who comes.
 */
async function openProxy(t: TestContext, url: string) {
  const sockets = new Set<Socket>();
  let swallowed = () => {};
  const proxy = {
    url: "",
    mode: "pass" as "pass" | "mute" | "swallow" | "login" | "close",
    /** Resolves when an answer was swallowed. */
    untilSwallowed: () => new Promise<void>((resolve) => (swallowed = resolve)),
    /** Resets all connections. */
    reset: () => sockets.forEach((socket) => void socket.resetAndDestroy()),
  };
  const server = createServer((client) => {
    if (proxy.mode === "close") return void client.destroy();
    const upstream = connectTcp(Number(new URL(url).port), "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => [client, upstream].forEach((one) => void one.destroy()));
    }
    client.on("data", (data) => void (proxy.mode === "mute" || upstream.write(data)));
    upstream.on("data", (data) => {
      if (proxy.mode === "swallow" || proxy.mode === "mute") return swallowed();
      client.write(data);
      // ReadyForQuery, outside of a transaction.
      if (proxy.mode === "login" && data.includes("Z\0\0\0\x05I")) proxy.mode = "swallow";
    });
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const through = new URL(url);
  through.port = `${(server.address() as AddressInfo).port}`;
  proxy.url = through.href;
  return proxy;
}

/** Grants to user 1 as the first unit. Once a coupon is known, another connection issues it: that is open then, too. */
async function warmUp(app: App, coupon: number): Promise<void> {
  assert.equal((await issued(app, coupon, 1)).body.position, 1);
  assert.equal((await issued(app, coupon, 1)).body.outcome, "already_issued");
}

async function openAppBehindProxy(t: TestContext) {
  const scratch = await openScratch(t);
  const proxy = await openProxy(t, scratch.apiUrl);
  const app = await openApp(proxy.url, { database: { callMs: 1_000 } });
  t.after(() => app.close());
  return { scratch, proxy, app };
}

/** Asks until the database answers: on a busy machine a session may take longer than the deadline of a call. */
async function answered(ask: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await ask();
    if (answer.status !== 503) return answer;
  }
}

const issued = (app: App, coupon: number, user: number) => answered(() => app.issue(coupon, user));

test("a database that accepts and never answers", async (t) => {
  const { scratch, proxy, app } = await openAppBehindProxy(t);
  proxy.mode = "mute";
  const answers = await Promise.all([1, 2, 3].map((user) => app.issue(scratch.coupon, user)));
  for (const answer of answers) {
    assertRefused(answer, "database_unavailable");
    // By the call's deadline or, after a pause of this process, by the connection's, whichever was noticed first.
    const [kind, code] = failureOf(app, answer);
    assert.equal(kind, "unavailable");
    assert.ok(code === "" || code === "CONNECT_TIMEOUT", `${code}`);
  }
  proxy.mode = "pass";
  assert.equal((await issued(app, scratch.coupon, 1)).status, 201);
});

test("a database that hangs up on who comes", async (t) => {
  const { scratch, proxy, app } = await openAppBehindProxy(t);
  proxy.mode = "close";
  const answer = await app.issue(scratch.coupon, 1);
  assertRefused(answer, "database_unavailable");
  assert.deepEqual(failureOf(app, answer), ["unavailable", "HUNG_UP"]);
  proxy.mode = "pass";
  assert.equal((await issued(app, scratch.coupon, 1)).status, 201);
});

test("a server that is no PostgreSQL: nothing was sent, and /readyz says what is wrong", async (t) => {
  const server = createServer((client) => {
    client.on("error", () => {}).once("data", () => client.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const app = await openApp(`postgres://shop:p@127.0.0.1:${(server.address() as AddressInfo).port}/shop`);
  t.after(() => app.close());
  const answer = await app.issue(1, 1);
  assertRefused(answer, "database_unavailable");
  assert.deepEqual(failureOf(app, answer), ["unavailable", "NO_POSTGRESQL"]);
  const { status, body } = await app.call("GET /readyz");
  assert.deepEqual(
    [status, body.outcome, body.detail],
    [503, "database_unavailable", "What answers at the database's address is no PostgreSQL."],
  );
});

test("a network that goes silent after the grant was sent: the retry replays", async (t) => {
  const { scratch, proxy, app } = await openAppBehindProxy(t);
  await warmUp(app, scratch.coupon);
  proxy.mode = "swallow";
  const [answer] = await Promise.all([app.issue(scratch.coupon, 2), proxy.untilSwallowed()]);
  assertRefused(answer, "outcome_unknown");
  assert.deepEqual(failureOf(app, answer), ["unknown", ""]);

  proxy.mode = "pass";
  const retry = await issued(app, scratch.coupon, 2);
  assert.deepEqual([retry.status, retry.body.outcome, retry.body.position], [200, "already_issued", 2]);
  assert.deepEqual(await positions(scratch), [
    { user_id: 1, position: 1 },
    { user_id: 2, position: 2 },
  ]);
});

test("a network that goes silent after the login", async (t) => {
  const { scratch, proxy, app } = await openAppBehindProxy(t);
  proxy.mode = "login";
  assertRefused(await app.issue(scratch.coupon, 1), "database_unavailable");
  assert.equal(proxy.mode, "swallow");
  proxy.mode = "pass";
  assert.equal((await issued(app, scratch.coupon, 1)).body.position, 1);
});

test("a pool that went silent leaves the others alone", async (t) => {
  const { scratch, proxy, app } = await openAppBehindProxy(t);
  const list = (size: number) => app.call(`GET /coupons/live?page_size=${size}`, { token: serviceToken });
  const issuing = () =>
    withConnection(
      scratch.setupUrl,
      (sql) => sql`
        select a.pid
        from pg_stat_activity a
        where a.datname = current_database() and a.usename = 'coupon_api' and a.query like '%issue_coupons%'`,
    );
  assert.equal((await issued(app, scratch.coupon, 1)).status, 201);
  await until(async () => (await issuing()).count === 1, "one session issues");
  const [session] = await issuing();
  assert.equal((await answered(() => list(1))).status, 200);
  proxy.mode = "mute";
  assertRefused(await list(2), "outcome_unknown");
  proxy.mode = "pass";
  assert.equal((await answered(() => list(2))).status, 200);
  assert.deepEqual([...(await issuing())], [session], "it is still the one that issues");
  assert.equal((await issued(app, scratch.coupon, 1)).status, 200);
});

// ---- What the database refuses --------------------------------------------------------------------------------------

for (const [what, setting, sqlstate] of [
  ["a lock that is held longer than lock_timeout", "lock_timeout = '100ms'", "55P03"],
  ["a call that runs longer than statement_timeout", "statement_timeout = '100ms'", "57014"],
] as const)
  test(what, async (t) => {
    const scratch = await openScratch(t);
    await bound(scratch, setting);
    const app = await openApp(scratch.apiUrl);
    t.after(() => app.close());
    const release = await holdCoupon(scratch, scratch.coupon);
    const answers = await Promise.all([1, 2, 3].map((user) => app.issue(scratch.coupon, user)));
    await release();
    for (const answer of answers) {
      assertRefused(answer, "overloaded");
      assert.deepEqual(failureOf(app, answer), ["busy", sqlstate]);
    }
    assert.deepEqual(await positions(scratch), []);
    // On a busy machine a call may take longer than this statement_timeout without any lock.
    let again = await app.issue(scratch.coupon, 1);
    while (again.status === 503) again = await app.issue(scratch.coupon, 1);
    assert.equal(again.body.position, 1);
  });

test("a session that is terminated during a batch", async (t) => {
  const scratch = await openScratch(t);
  const app = await openApp(scratch.apiUrl);
  t.after(() => app.close());
  const release = await holdCoupon(scratch, scratch.coupon);
  const call = app.issue(scratch.coupon, 1);
  await untilWaiting(scratch);
  await withConnection(scratch.setupUrl, async (sql) => {
    const ended = await sql`
      select pg_terminate_backend(a.pid) as done
      from pg_stat_activity a
      where a.datname = current_database() and a.usename = 'coupon_api'
        and a.pid in (select l.pid from pg_locks l where not l.granted)`;
    assert.deepEqual(
      ended.map((row) => row["done"]),
      [true],
    );
  });
  const answer = await call;
  await release();
  assertRefused(answer, "outcome_unknown");
  // The server's last word, 57P01, is lost in the driver.
  assert.deepEqual(failureOf(app, answer), ["unknown", "CONNECTION_CLOSED"]);
  assert.equal((await app.issue(scratch.coupon, 1)).status, 201);
});

for (const [what, change, sqlstate, reason] of [
  [
    ...(["a wrong password", (url: URL) => (url.password = "wrong"), "28P01"] as const),
    "The database refuses the login's password.",
  ],
  [
    ...(["a database that isn't there", (url: URL) => (url.pathname = "/nowhere"), "3D000"] as const),
    "There is no such database.",
  ],
] as const)
  test(what, async (t) => {
    const url = new URL((await openScratch(t)).apiUrl);
    change(url);
    const app = await openApp(url.href);
    t.after(() => app.close());
    const [issued, ready] = [await app.issue(1, 1), await app.call("GET /readyz")];
    assertRefused(issued, "database_unavailable");
    assertRefused(ready, "database_unavailable", reason);
    for (const answer of [issued, ready]) assert.deepEqual(failureOf(app, answer), ["unavailable", sqlstate]);
  });

test("a function that is missing is our mistake, and says nothing to the client", async (t) => {
  const scratch = await openScratch(t);
  await scratch.owner`drop function public.pause_coupon(bigint, text, text)`;
  const app = await openApp(scratch.apiUrl);
  t.after(() => app.close());
  const answer = await app.call(`POST /coupons/${scratch.coupon}/pause`, { token: adminToken });
  assertProblem(answer, 500, {
    outcome: "internal_error",
    detail: "This is our mistake, and was logged.",
  });
  assert.deepEqual(failureOf(app, answer), ["defect", "42883"]);
});

test("more calls than may wait", async (t) => {
  const scratch = await openScratch(t);
  const proxy = await openProxy(t, scratch.apiUrl);
  proxy.mode = "mute";
  const db = connectDb(proxy.url, { callMs: 300 });
  t.after(() => db.close(100));
  // Four run, 2,000 wait, and one is too many: it is refused before any other call has ended.
  const ended: number[] = [];
  const calls = Array.from({ length: 2_005 }, (_, i) =>
    db
      .issueCoupons(scratch.coupon, [1])
      .catch((error) => error.kind)
      .finally(() => ended.push(i)),
  );
  assert.equal(await calls[2_004], "busy");
  assert.deepEqual(ended, [2_004]);
  // The first four had no session; whoever waited two seconds in vain had no turn.
  const kinds = await Promise.all(calls);
  assert.deepEqual(kinds.slice(0, 4), Array(4).fill("unavailable"));
  assert.deepEqual([...new Set(kinds)].sort(), ["busy", "unavailable"]);
  assert.equal(kinds.at(-2), "busy");
});

test("connections are reset while calls come: no answer is empty, another's or late", async (t) => {
  const scratch = await openScratch(t);
  const proxy = await openProxy(t, scratch.apiUrl);
  const db = connectDb(proxy.url, { callMs: 20_000 });
  t.after(() => db.close(100));
  const told = new Map<unknown, number>();
  const count = (outcome: unknown) => told.set(outcome, (told.get(outcome) ?? 0) + 1);
  const failed = ({ kind, message }: DatabaseError) =>
    count(message.startsWith("no answer from the database in") ? "waited for its deadline" : kind);
  const turns = 100;
  for (let round = 0; round < 5; round++) {
    await Promise.all([1, 2].map(() => db.findCoupon({ coupon_id: scratch.coupon }).catch(() => {})));
    proxy.reset();
    const calls = [];
    // In each turn of the event loop, so also between a socket's error and its close.
    for (let turn = 0; turn < turns; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      const found = db.findCoupon({ coupon_id: scratch.coupon }).then((coupon) => coupon?.code ?? "none");
      const used = db.useCoupon(turn, scratch.coupon, "r", "user:1").then(({ outcome }) => outcome);
      calls.push(...[found, used].map((call) => call.then(count, failed)));
    }
    await Promise.all(calls);
  }
  assert.deepEqual(
    [...told.keys()].filter(
      (outcome) => !["A", "not_issued", "unknown", "unavailable", "busy"].includes(`${outcome}`),
    ),
    [],
  );
  assert.equal(
    [...told.values()].reduce((sum, n) => sum + n, 0),
    5 * 2 * turns,
  );
});

for (const [word, code] of [
  ["", "HUNG_UP"],
  ["R", "ECONNRESET"],
])
  test(`the driver is told of a socket's error and of its close in one go: ${code}`, async (t) => {
    const server = createServer((socket) => {
      if (word) socket.write(word);
      // Once the word is there.
      socket.once("data", () => void socket.resetAndDestroy());
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const socket = openSocket({ ssl: false, host: ["127.0.0.1"], port: [port] });
    if (word) socket.once("data", () => socket.write("reset me"));
    else socket.once("connect", () => socket.write("reset me"));
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      socket.once("error", ({ code }: { code?: string }) => {
        order.push(`${code}`);
        queueMicrotask(() => order.push("whoever waited for it"));
        setImmediate(resolve);
      });
      socket.once("close", (hadError) => order.push(`close ${hadError}`));
    });
    assert.deepEqual(order, [code, "close true", "whoever waited for it"]);
  });

test("a result that is not whole is no answer", () => {
  const result = (rows: unknown[], command: string | null, count: number | null) =>
    Object.assign(rows, { command, count });
  assert.deepEqual([...whole(result([{ one: 1 }], "SELECT", 1))], [{ one: 1 }]);
  assert.deepEqual([...whole(result([], "SELECT", 0))], []);
  for (const broken of [result([], null, null), result([undefined, {}], "SELECT", 1)])
    assert.throws(() => whole(broken), { name: "DatabaseError", kind: "unknown" });
});

test("coupon_api calls functions, and nothing else", async (t) => {
  const scratch = await openScratch(t);
  const denied = { code: "42501" };
  await withConnection(scratch.apiUrl, async (sql) => {
    const tables = await scratch.owner`
      select c.oid::regclass::text as name
      from pg_class c
      where c.relnamespace = 'coupon'::regnamespace and c.relkind in ('r', 'v', 'm', 'p', 'S')`;
    assert.ok(tables.length >= 6);
    for (const { name } of tables as unknown as { name: string }[])
      for (const statement of [
        `select * from ${name}`,
        `delete from ${name}`,
        `insert into ${name} default values`,
      ])
        await assert.rejects(sql.unsafe(statement), denied, statement);
    for (const role of ["coupon_owner", "coupon_admin", "coupon_monitor", "coupon_setup"])
      await assert.rejects(sql.unsafe(`set role ${role}`), denied, role);
    for (const statement of [
      "create table public.t ()",
      "create table coupon.t ()",
      "create schema s",
      "select coupon.lock_issuing(1)",
      "select reconcile()",
      "select set_time_zone('Asia/Tokyo')",
    ])
      await assert.rejects(sql.unsafe(statement), denied, statement);
    assert.equal((await sql`select * from live_coupons()`).length, 1);
  });
});

// ---- A database that goes and comes ---------------------------------------------------------------------------------

let dataDir: string;
let own: { directory: string; url: string };
before(async () => {
  const parent = await realpath(await mkdtemp(join(tmpdir(), "server-db-")));
  await chmod(parent, 0o755);
  dataDir = join(parent, "data");
  own = await startEmbedded({ dataDir, settings: { shared_buffers: "16MB" } });
  await makeTemplate(own.url);
});
after(async () => {
  await stopEmbedded({ dataDir });
  await rm(own.directory, { recursive: true, force: true });
  await rm(join(dataDir, ".."), { recursive: true });
});

/** On the same port, which callers know. */
async function startAgain(): Promise<void> {
  const { url } = await startEmbedded({ dataDir });
  assert.equal(url, own.url);
}

test("down when the server starts, and up later", async (t) => {
  const scratch = await scratchDatabase(own.url);
  const coupon = await fill(scratch.admin);
  await Promise.all([scratch.owner.end({ timeout: 1 }), scratch.admin.end({ timeout: 1 })]);
  await stopEmbedded({ dataDir });

  const app = await openApp(scratch.apiUrl);
  t.after(() => app.close());
  const answers = await Promise.all([
    app.issue(coupon, 1),
    app.issue(coupon, 2),
    app.call("GET /coupons/live", { token: await userToken(1) }),
    app.call(`POST /coupons/${coupon}/use`, { token: await userToken(1), body: { reference: "r" } }),
  ]);
  for (const answer of answers) assertRefused(answer, "database_unavailable");
  const ready = await app.call("GET /readyz");
  assertRefused(ready, "database_unavailable", "Nothing answers at the database's address.");
  for (const answer of [...answers, ready])
    assert.deepEqual(failureOf(app, answer), ["unavailable", "ECONNREFUSED"]);
  assert.equal((await app.call("GET /livez")).status, 200);

  await startAgain();
  const up = await app.issue(coupon, 1);
  assert.deepEqual([up.status, up.body.position], [201, 1]);
  assert.equal((await app.call("GET /readyz")).status, 200);
});

test("killed after it granted, before it said so: the retry replays", async (t) => {
  const scratch = await scratchDatabase(own.url);
  const coupon = await fill(scratch.admin);
  const proxy = await openProxy(t, scratch.apiUrl);
  const app = await openApp(proxy.url);
  t.after(() => app.close());
  await warmUp(app, coupon);

  proxy.mode = "swallow";
  const swallowed = proxy.untilSwallowed();
  const call = app.issue(coupon, 2);
  await swallowed;
  const { pid } = await embeddedStatus({ dataDir });
  assert.ok(pid);
  process.kill(pid, "SIGKILL");
  const answer = await call;
  assertRefused(answer, "outcome_unknown");
  assert.equal(failureOf(app, answer)[0], "unknown");
  await Promise.all([scratch.owner.end({ timeout: 1 }), scratch.admin.end({ timeout: 1 })]);

  proxy.mode = "pass";
  await startAgain();
  const retry = await app.issue(coupon, 2);
  assert.deepEqual([retry.status, retry.body.outcome, retry.body.position], [200, "already_issued", 2]);
});

test("killed while a grant waits for a lock: nothing was done, the retry is granted", async (t) => {
  const scratch = await scratchDatabase(own.url);
  await bound(scratch, "lock_timeout = '30s'");
  const coupon = await fill(scratch.admin);
  const app = await openApp(scratch.apiUrl);
  t.after(() => app.close());
  await holdCoupon(scratch, coupon);
  const call = app.issue(coupon, 1);
  await untilWaiting(scratch);
  const { pid } = await embeddedStatus({ dataDir });
  assert.ok(pid);
  process.kill(pid, "SIGKILL");
  assertRefused(await call, "outcome_unknown");
  await Promise.all([scratch.owner.end({ timeout: 1 }), scratch.admin.end({ timeout: 1 })]);

  await startAgain();
  const retry = await app.issue(coupon, 1);
  assert.deepEqual([retry.status, retry.body.position], [201, 1]);
});

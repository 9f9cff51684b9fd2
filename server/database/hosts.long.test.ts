/** A URL with several hosts: whichever of them is the primary is found, by few questions, and what was never sent is not told as unknown. */
import assert from "node:assert/strict";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import { after, before, type TestContext, test } from "node:test";
import { openApp, userToken } from "../../bench/harness/app.ts";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { makeLogin } from "../../bench/harness/cluster.ts";
import { createThings } from "../../bench/harness/coupons.ts";
import { type Node, startNodes, testedBin } from "../../bench/harness/nodes.ts";
import { makeTemplate, type Scratch, scratchDatabase } from "../../bench/harness/scratch.ts";
import { runSd } from "../../bench/harness/sd.ts";
import { timed } from "../../bench/harness/stalls.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { until } from "../../bench/harness/waiting.ts";
import { type Sql, withConnection } from "../../db/connect.ts";
import { createHosts, mostQuestions } from "../../db/hosts.ts";
import { targetOf } from "../../db/target.ts";

let nodes: [Node, ...Node[]];
let serverUrl: string;

before(async () => {
  nodes = await startNodes(3, await testedBin());
  serverUrl = await makeLogin(nodes[0].target);
  await makeTemplate(serverUrl);
});

after(cleanUp);

/** Counts the connections to a port, and passes them on; once it is silent, nothing of them any more. */
async function startRelay(t: TestContext, to: number) {
  const came: number[] = [];
  const sockets = new Set<Socket>();
  let isSilent = false;
  const server = createServer((client) => {
    came.push(performance.now());
    const upstream = connectTcp(to, "127.0.0.1");
    for (const [from, into] of [[client, upstream] as const, [upstream, client] as const]) {
      sockets.add(from);
      from.on("error", () => {}).on("close", () => into.destroy());
      if (isSilent) from.pause();
      else from.pipe(into);
    }
  });
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    came,
    place: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    silence() {
      isSilent = true;
      for (const socket of sockets) socket.unpipe().pause();
    },
  };
}

const at = (url: string, places: readonly string[], parameters = "") =>
  url.replace(/@[^/]*/, `@${places.join(",")}`) + parameters;

test("the commands work on the primary, wherever it stands in the list", async () => {
  const [primary, standby] = nodes as [Node, Node, Node];
  await primary.run("create database several owner coupon_ci");
  const places = [standby, primary].map(({ port }) => `127.0.0.1:${port}`);
  const list = targetOf(at(serverUrl, places)).on("several");
  const how = { dataDir: await temporaryDirectory(), env: { DATABASE_URL: list.url } };
  const migrated = await runSd(["migrate"], how);
  assert.equal(migrated.status, 0, migrated.stderr);
  const port = { status: 0, stdout: `${primary.port}\n`, stderr: "" };
  assert.deepEqual(await runSd(["psql", "-qAtc", "select inet_server_port()"], how), port);
  assert.match(
    (await runSd(["sql", "select inet_server_port()"], how)).stdout,
    new RegExp(`${primary.port}`),
  );
  assert.equal((await runSd(["api-url"], how)).stdout, `${list.as("coupon_api").url}\n`);
  const { stdout } = await runSd(["status"], how);
  for (const line of [`${places[0]} is a standby`, `${places[1]} is the primary`, "migrations"])
    assert.ok(stdout.includes(line), stdout);
  assert.equal((await runSd(["check"], how)).status, 0);
  // These servers do not flush, which the doctor tells; it finds nothing else.
  assert.match((await runSd(["doctor"], how)).stdout, /^setting fsync is off.*\n1 thing differs\n$/);
  // The only host is a standby: what it says may be old, and that is said once.
  const alone = { ...how, env: { DATABASE_URL: at(list.url, places.slice(0, 1)) } };
  await until(async () => (await runSd(["check"], alone)).status === 0, "the standby has it");
  const acknowledged = '{"coupon_id": 1, "user_id": 1, "position": 1, "issued_at": "2026-01-01T00:00:00Z"}\n';
  for (const [command, status, ...args] of [
    ["check", 0],
    ["status", 0],
    ["sql", 0, "select 1"],
    ["lost-grants", 1, "-"],
  ] as const)
    assert.deepEqual(
      { command, ...(await runSd([command, ...args], alone, acknowledged)), stdout: "" },
      {
        command,
        status,
        stdout: "",
        stderr: "warning: this is a standby: what it says may be old\n",
      },
    );
  await primary.run("drop database several with (force)");
});

test("the primary dies, and a standby is promoted", async (t) => {
  const [first, second, third] = nodes as [Node, Node, Node];
  const scratch: Scratch = await scratchDatabase(serverUrl);
  const { newCoupon, newUsers } = createThings(scratch.admin);
  const coupon = await newCoupon({ count: 1_000 });
  const users = await newUsers(2_000);
  const relays = await Promise.all(nodes.map(({ port }) => startRelay(t, port)));
  const app = await openApp(
    at(
      scratch.apiUrl,
      [2, 0, 1].map((i) => relays[i]?.place as string),
      "?target_session_attrs=read-write",
    ),
  );
  t.after(() => app.close());
  const [user = 0] = users;
  assert.equal((await app.issue(coupon, user)).body.outcome, "issued");
  const caughtUp = async ({ target }: Node) => {
    const [here, there] = await Promise.all(
      [first.target, target].map((each) =>
        withConnection(
          each,
          (sql) =>
            sql`select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end::text as lsn`,
        ),
      ),
    );
    return here?.[0]?.["lsn"] === there?.[0]?.["lsn"];
  };
  await until(async () => (await caughtUp(second)) && (await caughtUp(third)), "both standbys have it");
  await Promise.all([scratch.owner.end({ timeout: 1 }), scratch.admin.end({ timeout: 1 })]);

  await first.stop("SIGQUIT");
  // One answer of before may be on its way.
  await until(
    async () => (await app.issue(coupon, user)).body.outcome === "database_unavailable",
    "it is noticed",
  );
  for (const { came } of relays) came.length = 0;
  const began = performance.now();
  const outcomes = new Set<string>();
  let asked = 0;
  // As many at once as the server has connections, and more.
  await until(async () => {
    const answers = await Promise.all(users.slice(asked, asked + 30).map((each) => app.issue(coupon, each)));
    asked = (asked + 30) % 1_900;
    for (const { body } of answers) outcomes.add(body.outcome);
    return relays.every(({ came }) => came.length >= 6);
  }, "each host is asked six times");
  const lasted = performance.now() - began;
  assert.deepEqual([...outcomes], ["database_unavailable"]);
  for (const { came } of relays)
    assert.ok(came.length <= mostQuestions(lasted), `${came.length} in ${lasted} ms`);
  t.diagnostic(`${relays.map(({ came }) => came.length)} connections in ${Math.round(lasted)} ms`);

  await second.promote();
  const found = await timed(() =>
    until(async () => {
      const { body } = await app.issue(coupon, users[1_950] as number);
      assert.notEqual(body.outcome, "outcome_unknown");
      return ["issued", "already_issued"].includes(body.outcome);
    }, "it is found"),
  );
  t.diagnostic(`found ${Math.round(found)} ms after the promotion`);
  assert.ok(found <= 2_000, `${found} ms`);
  assert.equal((await app.issue(coupon, user)).body.outcome, "already_issued");

  // The old primary comes back and knows nothing of its successor. It stands first in the list.
  await first.start();
  const both = [first, second].map(({ port }) => `127.0.0.1:${port}`);
  const list = targetOf(at(scratch.apiUrl, both));
  const hosts = createHosts(list, { askMs: 60_000, searchMs: 60_000 });
  assert.equal((await hosts.find()).target.host, `127.0.0.1:${second.port}`);
  const how = { dataDir: await temporaryDirectory(), env: { DATABASE_URL: at(scratch.setupUrl, both) } };
  const port = { status: 0, stdout: `${second.port}\n`, stderr: "" };
  assert.deepEqual(await runSd(["psql", "-qAtc", "select inet_server_port()"], how), port);

  // While its successor is away, the server takes no grant from the old one: it would be lost.
  const next = users[1_960] as number;
  const [old] = relays as [Awaited<ReturnType<typeof startRelay>>];
  await second.stop("SIGQUIT");
  const before = old.came.length;
  await until(async () => {
    const { body } = await app.issue(coupon, next);
    assert.match(body.outcome, /^(database_unavailable|outcome_unknown)$/);
    return old.came.length >= before + 4;
  }, "the old one is asked");
  assert.match(JSON.stringify(app.failures()), new RegExp(`${old.place} was replaced as the primary`));
  await second.start();
  const has = async () => ["issued", "already_issued"].includes((await app.issue(coupon, next)).body.outcome);
  await until(has, "the new one is back");
});

/** A primary and its standby, a database with a coupon on both, and a server that is given both. */
async function servePair(t: TestContext, parameters: string, callMs?: number) {
  const [old, next] = (await startNodes(2, await testedBin())) as [Node, Node];
  const url = await makeLogin(old.target);
  await makeTemplate(url);
  const scratch = await scratchDatabase(url);
  const { newCoupon, newUsers } = createThings(scratch.admin);
  const coupon = await newCoupon({ count: 1_000 });
  const users = await newUsers(100);
  await Promise.all([scratch.owner.end({ timeout: 1 }), scratch.admin.end({ timeout: 1 })]);
  const relay = await startRelay(t, old.port);
  const app = await openApp(
    at(scratch.apiUrl, [relay.place, `127.0.0.1:${next.port}`], parameters),
    callMs === undefined ? {} : { database: { callMs } },
  );
  t.after(() => app.close());
  const { database } = targetOf(scratch.apiUrl);
  const on = <T>({ target }: Node, work: (sql: Sql) => Promise<T>) =>
    withConnection(target.on(database), work);
  const holders = (node: Node) =>
    on(node, async (sql) => {
      const rows = await sql`select user_id::integer as user from coupon.user_coupons order by position`;
      return rows.map(({ user }) => user as number);
    });
  const issue = async (user: number) => (await app.issue(coupon, user)).body.outcome;
  const isThere = () =>
    holders(next).then(
      () => true,
      () => false,
    );
  await until(isThere, "the standby has the database");
  return { old, next, app, coupon, users, relay, on, holders, issue };
}

test("a standby is promoted beside a primary that lives on: one session that is lost takes all others along", async (t) => {
  const { old, next, app, coupon, users, on, holders, issue } = await servePair(t, "");
  const [first = 0, second = 0, third = 0] = users;
  const use = async (user: number) =>
    app.call(`POST /coupons/${coupon}/use`, { token: await userToken(user), body: { reference: "r" } });
  assert.deepEqual([await issue(first), await issue(second)], ["issued", "issued"]);
  assert.equal((await use(first)).status, 200);
  await until(async () => (await holders(next)).length === 2, "the standby has both");
  await next.promote();
  // Of those that use coupons alone: those that issue are left as they are.
  await on(
    old,
    (sql) => sql`
      select pg_terminate_backend(pid, 5000) from pg_stat_activity
      where application_name like 'coupon-server%' and query like '%use_coupon%'`,
  );
  await until(async () => (await use(second)).status === 200, "the new primary is found");
  await until(async () => (await issue(third)) === "issued", "it is issued");
  assert.deepEqual([await holders(old), await holders(next)], [[first, second], users.slice(0, 3)]);
});

test("a call that a primary keeps waiting is told as unknown once another one is found", async (t) => {
  const { next, app, coupon, users, relay, holders, issue } = await servePair(t, "", 120_000);
  const [first = 0, second = 0, third = 0] = users;
  // The first one is asked for by other connections: the coupon is not known yet.
  assert.deepEqual([await issue(first), await issue(second)], ["issued", "issued"]);
  await until(async () => (await holders(next)).length === 2, "the standby has both");
  relay.silence();
  const kept = issue(third);
  await next.promote();
  const call = { token: await userToken(first), body: { reference: "r" } };
  const took = await timed(async () => {
    // It has no connection yet.
    await until(
      async () => (await app.call(`POST /coupons/${coupon}/use`, call)).status === 200,
      "it is used",
    );
    assert.equal(await kept, "outcome_unknown");
  });
  assert.ok(took < 60_000, `${took} ms`);
  assert.equal(await issue(third), "issued");
});

test("a primary that goes silent: the next one is found after one deadline, whatever connect_timeout says", async (t) => {
  const callMs = 1_000;
  const { next, users, relay, holders, issue } = await servePair(t, "?connect_timeout=60", callMs);
  const [first = 0, second = 0] = users;
  assert.equal(await issue(first), "issued");
  await until(async () => (await holders(next)).length === 1, "the standby has it");
  relay.silence();
  await next.promote();
  const found = await timed(() =>
    until(async () => ["issued", "already_issued"].includes(await issue(second)), "it is found"),
  );
  t.diagnostic(`found ${Math.round(found)} ms after the promotion`);
  assert.ok(found <= callMs + 4_000, `${found} ms`);
  assert.deepEqual(await holders(next), [first, second]);
});

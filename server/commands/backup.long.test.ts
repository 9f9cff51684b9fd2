import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { bin, options, startDebian } from "../../bench/harness/debian.ts";
import { readCode } from "../../bench/harness/readme-blocks.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { userToken } from "../../bench/harness/tokens.ts";
import { until, untilReady } from "../../bench/harness/waiting.ts";
import { connect, type Sql, withConnection } from "../../db/connect.ts";
import { examine } from "../../db/doctor.ts";
import { setUp } from "../../db/setup.ts";
import type { Target } from "../../db/target.ts";

after(cleanUp);

// The commands of db/README.md, with Debian's client and server.

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
const README = new URL("../../db/README.md", import.meta.url);
const SECRET = "a secret of the tests, long enough for HS256";
const USERS = 30_000;
const BATCH = 50;

/** The commands of db/README.md between these marks. */
const commands = (mark: string) => readCode(README, mark).trim().split("\n");

/** A new server with what db/README.md says of login and database; as `shop`. */
async function newServer(): Promise<Target> {
  const { target } = await startDebian();
  for (const statement of commands("prepare"))
    await withConnection(target, (sql) => sql.unsafe(statement.replace("…", "secret")));
  return target.withLogin("shop", "secret").on("coupons");
}

const grantsOf = async (sql: Sql) =>
  [
    ...(await sql`
      select coupon_id::integer, position, user_id::integer, issued_at::text, used_date::text, use_reference
      from coupon.user_coupons order by 1, 2`),
  ].map((row) => ({ ...row }));

/**
 * Issues two coupons in turn, a batch each, to users who have none, until told to stop. A fast server may run out of users before that; the last
 * ones are left for what comes afterwards.
 */
async function issueOn(sql: Sql, isOver: () => boolean): Promise<void> {
  for (let batch = 0; !isOver() && 100 + (batch + 2) * BATCH <= USERS; batch++) {
    const users = Array.from({ length: BATCH }, (_, i) => 101 + batch * BATCH + i);
    await sql`select count(*) from issue_coupons(${1 + (batch % 2)}, ${users}::bigint[])`;
  }
}

/** The environment that the README's reader has. */
async function environment() {
  return {
    PATH: `${bin}:${process.env["PATH"]}`,
    BACKUP: join(await temporaryDirectory(), "coupons.dump"),
    DATA_DIR: join(await temporaryDirectory(), "data"),
    ENV_FILE: "",
    HOST: "127.0.0.1",
    JWT_SECRET: SECRET,
  };
}

/** ./sd start until it serves, at a port of its own. */
async function started(t: TestContext, script: string, env: NodeJS.ProcessEnv): Promise<string> {
  const child = spawn("sh", ["-c", script], {
    cwd: CHECKOUT,
    env: { ...env, PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGTERM");
    await ended;
  });
  let said = "";
  child.stdout.on("data", (chunk) => (said += chunk));
  const port = () => said.match(/"message":"listening","url":"http:[^"]*:(\d+)"/)?.[1];
  await until(() => {
    assert.equal(child.exitCode, null, `./sd start ended:\n${said}`);
    return port() !== undefined;
  }, "it listens");
  const url = `http://127.0.0.1:${port()}`;
  await untilReady(url);
  return url;
}

test(
  "dumped while it is issued, restored elsewhere: one instant, and it goes on from there",
  options,
  async (t) => {
    const [source, target] = await Promise.all([newServer(), newServer()]);
    await setUp(source);
    const old = connect(source.as("coupon_admin"));
    t.after(() => old.end({ timeout: 1 }));
    await old`
    select count(*) from import_users(
      array(select generate_series(1, ${USERS}::integer)), array_fill('n'::text, array[${USERS}::integer]))`;
    for (const [code, count] of [
      ["A", 50_000],
      ["B", 60_000],
    ] as const)
      await old`
      select create_coupon(${code}, 'm', 'd', now() - interval '1 hour' - ${count} * interval '1 ms',
        now() + interval '1 day', ${count})`;
    await old`select count(*) from issue_coupons(1, array(select generate_series(1, 100)))`;
    await old`select use_coupon(n, 1, 'order-' || n) from generate_series(1, 40) n`;
    await old`select undo_use(n, 1, 'cancelled') from generate_series(1, 10) n`;

    const eventsOf = async (sql: Sql, after: string | null) => {
      const events: { event_id: string; event: string }[] = [];
      for (let isEnd = false; !isEnd; ) {
        const from = events.at(-1)?.event_id ?? after;
        const page = await sql`select event_id, event from events(${from}, 1000)`;
        events.push(...(page as unknown as typeof events));
        isEnd = page.length === 0;
      }
      return events;
    };
    const seen = await eventsOf(old, null);
    const env = await environment();
    const sh = (script: string) => promisify(execFile)("sh", ["-ec", script], { cwd: CHECKOUT, env });
    const session = connect(source.as("coupon_api"));
    t.after(() => session.end({ timeout: 1 }));
    let dumped = false;
    const issuing = issueOn(session, () => dumped);
    const issuedNow = async () =>
      (await old`select count(*)::integer as n from coupon.user_coupons`)[0]?.["n"];
    while ((await issuedNow()) < 500) await sleep(1);
    const before: number = await issuedNow();
    const [dump, ...none] = commands("backup");
    assert.deepEqual(none, []);
    await sh(`export DATABASE_URL='${source.url}'\n${dump}`);
    const afterwards: number = await issuedNow();
    dumped = true;
    await issuing;
    t.diagnostic(`${before} grants before the dump, ${afterwards} after it`);
    assert.ok(afterwards > before, "issuing went on");

    const restore = commands("restore");
    const [given, start] = [restore.shift(), restore.pop()];
    assert.match(given ?? "", /^export DATABASE_URL=\S+$/);
    assert.equal(start, "./sd start");
    const settings = given?.replace(/=postgres:\S+/, `='${target.url}'`);
    const { stdout, stderr } = await sh([settings, ...restore].join("\n"));
    assert.equal(stderr, "");
    const restored = connect(target.as("coupon_admin"));
    t.after(() => restored.end({ timeout: 1 }));

    const rows = await grantsOf(restored);
    assert.ok(rows.length >= before && rows.length <= afterwards, `${rows.length} grants`);
    assert.match(stdout, new RegExp(`^0 broken invariants in 2 coupons and ${rows.length} grants$`, "m"));
    const coupons = await restored`select id::integer, issued from coupon.coupons order by id`;
    assert.deepEqual(
      coupons.map((coupon) => coupon["issued"]),
      [1, 2].map((id) => rows.filter((row) => row["coupon_id"] === id).length),
    );
    // What the old server had, up to an instant: each coupon's first grants, uses and all.
    const had = await grantsOf(old);
    const expected = [1, 2].flatMap((id) =>
      had.filter((row) => row["coupon_id"] === id).slice(0, coupons[id - 1]?.["issued"]),
    );
    assert.deepEqual(rows, expected);
    assert.deepEqual(
      [...(await restored`select id, login, command, used_date from coupon.audit order by id`)],
      [...(await old`select id, login, command, used_date from coupon.audit order by id`)],
    );
    // Who had read on goes on there; an event that the copy lacks, it does not know.
    const known = seen.at(-1)?.event_id as string;
    const newest = (await old`select event_id from events('latest')`)[0]?.["event_id"];
    const behind = await eventsOf(restored, known);
    assert.deepEqual((await eventsOf(restored, null)).slice(0, seen.length), seen);
    assert.deepEqual(
      behind.map(({ event }) => event),
      Array(rows.length - 100).fill("issued"),
    );
    await assert.rejects(restored`select from events(${newest})`, {
      ...{ code: "22023", column_name: "after" },
      message: /of this database, or latest; if it was one, the database lost what it then had$/,
    });
    const url = await started(t, `${settings}\nexec ${start}`, env);
    const issue = async (userId: number) => {
      const answer = await fetch(`${url}/coupons/1/issue`, {
        method: "POST",
        headers: { authorization: `Bearer ${userToken(SECRET, userId)}` },
      });
      const { outcome, position } = (await answer.json()) as Record<string, unknown>;
      return [answer.status, outcome, position];
    };
    const last = coupons[0]?.["issued"] as number;
    assert.deepEqual(await issue(7), [200, "already_issued", 7]);
    const holder = rows.find((row) => row["coupon_id"] === 1 && row["position"] === last)?.["user_id"];
    assert.deepEqual(await issue(holder), [200, "already_issued", last]);
    assert.deepEqual(await issue(USERS), [201, "issued", last + 1]);
    assert.deepEqual([...(await restored`select * from reconcile()`)], []);
    // Definitions that PostgreSQL has read back are the same. Debian's server runs with fsync off here.
    const found = (await examine(target)).map(({ what }) => what);
    assert.deepEqual(found, ["setting fsync is off, should be on"]);
  },
);

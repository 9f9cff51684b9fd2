import assert from "node:assert/strict";
import * as fs from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Scratch, scratchDatabase } from "../../bench/harness/scratch.ts";
import { startServer } from "../../bench/harness/service.ts";
import { addUsers, createCoupon, grantsOf } from "../../bench/harness/tables.ts";
import { userToken } from "../../bench/harness/tokens.ts";
import { until } from "../../bench/harness/waiting.ts";
import { pendingOf } from "../../db/pending.ts";
import { SOURCES, setUp } from "../../db/setup.ts";

// A release comes while a drop runs: servers of the old one and of the new one, migrations, all functions anew.

const SECRET = "a secret of the tests, long enough for HS256";
const CONNECTIONS = 64;
/** From an answer to the next request of its connection: without it the drop takes both cores, and a release takes minutes. */
const PAUSE_MS = 30;

/** The server as a process of its own. */
async function serve(t: TestContext, { apiUrl }: Scratch) {
  const server = await startServer(apiUrl, { JWT_SECRET: SECRET });
  t.after(() => server.stop());
  return server;
}

interface Answer {
  userId: number;
  status: number;
  body: Record<string, unknown>;
}

/** What it says of itself once the database answers in time, which on a busy machine it may not do at first. */
async function ready(url: string): Promise<[number, unknown]> {
  let told: [number, unknown] = [0, undefined];
  await until(async () => {
    const answer = await fetch(`${url}/readyz`);
    const body = (await answer.json()) as Record<string, unknown>;
    told = [answer.status, body["outcome"] ?? body["status"]];
    return told[1] !== "database_unavailable";
  }, "the database answers");
  return told;
}

/** Asks for the coupon over so many connections, each user twice or more, until `isOver` says so; all answers. */
async function drop(url: string, couponId: number, isOver: (answer: Answer) => boolean): Promise<Answer[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const answers: Answer[] = [];
  let next = 0;
  let over = false;
  const ask = (userId: number) =>
    new Promise<Answer>((resolve, reject) => {
      const headers = { authorization: `Bearer ${userToken(SECRET, userId)}` };
      const sent = request(`${url}/coupons/${couponId}/issue`, { method: "POST", agent, headers });
      sent.once("error", reject).end();
      sent.once("response", (response) => {
        let text = "";
        response.on("data", (part) => (text += part));
        response.once("end", () =>
          resolve({ userId, status: response.statusCode ?? 0, body: JSON.parse(text) }),
        );
      });
    });
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (!over) {
        // Every other one asks for a user who has asked before.
        const n = next++;
        const answer = await ask(n % 2 === 0 ? n / 2 + 1 : Math.floor(n / 4) + 1);
        answers.push(answer);
        over ||= isOver(answer);
        await sleep(PAUSE_MS);
      }
    }),
  );
  agent.destroy();
  return answers;
}

/** "status outcome" → answers. */
function tally(answers: Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, body } of answers) {
    const key = `${status} ${body["outcome"]}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

/** Every grant is a row and every answer is what its row says. */
async function assertExact(scratch: Scratch, couponId: number, count: number, answers: Answer[]) {
  const rows = await scratch.owner`
    select user_id::integer, position from coupon.user_coupons where coupon_id = ${couponId} order by position`;
  assert.deepEqual(
    rows.map((row) => row["position"]),
    Array.from({ length: count }, (_, i) => i + 1),
  );
  const held = new Map(rows.map((row) => [row["user_id"], row["position"]]));
  for (const { userId, status, body } of answers) {
    if (status === 409) assert.equal(held.has(userId), false, `user ${userId} was refused and holds it`);
    else assert.equal(body["position"], held.get(userId), `user ${userId}`);
  }
  const { "201 issued": issued, "200 already_issued": _, "409 sold_out": __, ...others } = tally(answers);
  assert.deepEqual(others, {}, "nothing else was answered");
  assert.equal(issued, count);
  assert.deepEqual(await grantsOf(scratch.admin, couponId), { rows: count, last: count, issued: count });
  assert.deepEqual([...(await scratch.admin`select * from reconcile()`)], []);
}

/** Copies of what a release brings, to which more can be added. */
async function release(t: TestContext) {
  const directory = await fs.mkdtemp(join(tmpdir(), "rollout-"));
  t.after(() => fs.rm(directory, { recursive: true }));
  const [migrations, functions] = [join(directory, "migrations"), join(directory, "sql")];
  await fs.cp(SOURCES.migrations, migrations, { recursive: true });
  await fs.cp(SOURCES.functions, functions, { recursive: true });
  return {
    sources: { migrations, functions },
    add: (version: string, text: string) => fs.writeFile(join(migrations, `${version}_more.sql`), text),
    edit: async (file: string, change: (text: string) => string) => {
      const text = await fs.readFile(join(functions, file), "utf8");
      assert.notEqual(change(text), text);
      await fs.writeFile(join(functions, file), change(text));
    },
  };
}

const additive = (n: number) => `-- migrate:up
alter table coupon.coupons add column more_${n} text;
comment on column coupon.coupons.more_${n} is 'A test''s.';
alter table coupon.user_coupons add column more_${n} integer;
-- migrate:down
`;
const index = (n: number) => `-- migrate:up transaction:false
create index concurrently more_${n} on coupon.user_coupons (issued_at);
-- migrate:down
`;

/** A coupon that is issued to as many as can be, while `work` is done on its database; then it sells out, and all is compared. */
async function during(t: TestContext, work: (scratch: Scratch) => Promise<void>): Promise<void> {
  const scratch = await scratchDatabase();
  t.after(() => scratch.drop());
  await addUsers(scratch, 1, 100_000);
  const couponId = await createCoupon(scratch.admin, "A", 0, 50_000);
  const server = await serve(t, scratch);
  const answers = drop(server.url, couponId, ({ body }) => body["outcome"] === "sold_out");
  await work(scratch);
  const [stock] = await scratch.admin`
    select s.outcome, c.count
    from coupon.coupons c, set_coupon_count(c.id, c.issued + 2000) s where c.id = ${couponId}`;
  assert.equal(stock?.["outcome"], "changed");
  const all = await answers;
  const { issued } = await grantsOf(scratch.admin, couponId);
  t.diagnostic(JSON.stringify(tally(all)));
  assert.ok(issued > 2_000, "some were issued meanwhile");
  await assertExact(scratch, couponId, issued, all);
}

test("migrations and new functions while a coupon is issued: nobody sees it, and every row is right", (t) =>
  during(t, async ({ target }) => {
    const { sources, add } = await release(t);
    for (const [n, text] of [additive(1), index(2), additive(3)].entries()) {
      await add(`2999010100000${n}`, text);
      await pendingOf(target, sources);
      await setUp(target, () => {}, sources);
      await pendingOf(target, sources);
    }
  }));

test("a migration behind somebody's long transaction: who issues does not wait with it", (t) =>
  during(t, async ({ target, owner }) => {
    const { sources, add } = await release(t);
    await add("29990101000001", additive(1));
    const reader = await owner.reserve();
    await reader`begin`;
    await reader`select count(*) from coupon.coupons`;
    await setUp(target); // the functions wait for nobody
    const steps: string[] = [];
    const again = "db/migrations/29990101000001_more.sql: waits for a lock, again in a moment";
    let done: Promise<unknown> = Promise.resolve();
    await new Promise<void>((waitedTwice) => {
      const log = (step: string) => {
        steps.push(step);
        if (steps.filter((each) => each === again).length === 2) waitedTwice();
      };
      done = setUp(target, log, sources);
    });
    await reader`commit`;
    reader.release();
    await done;
    assert.deepEqual(steps.slice(-2), ["migrated 29990101000001_more.sql", "functions"]);
  }));

test("servers and databases of two releases", async (t) => {
  const scratch = await scratchDatabase();
  t.after(() => scratch.drop());
  const old = await serve(t, scratch);
  assert.deepEqual(await ready(old.url), [200, "ok"]);

  const next = await release(t);
  await next.add("29990101000001", additive(1));
  await setUp(scratch.target, () => {}, next.sources);
  assert.deepEqual(await ready(old.url), [200, "ok"], "the old server on the new schema");

  await next.edit("schema_version.sql", (text) => text.replace(/'\d{14}'/, "'29990101000001'"));
  await setUp(scratch.target, () => {}, next.sources);
  assert.deepEqual(await ready(old.url), [503, "server_too_old"]);

  const behind = await scratchDatabase();
  t.after(() => behind.drop());
  await behind.owner`delete from coupon.schema_migrations where version = (select max(version) from coupon.schema_migrations)`;
  const newer = await serve(t, behind);
  assert.deepEqual(await ready(newer.url), [503, "migrations_pending"]);
});

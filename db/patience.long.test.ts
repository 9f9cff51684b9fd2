import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Scratch, scratchDatabase } from "../bench/harness/scratch.ts";
import { until } from "../bench/harness/waiting.ts";
import { withConnection } from "./connect.ts";
import { createPatience, LockTimeout } from "./patience.ts";
import { SETUP_LOCK, setUp } from "./setup.ts";

async function open(t: TestContext): Promise<Scratch> {
  const scratch = await scratchDatabase();
  t.after(() => scratch.drop());
  await setUp(scratch.target); // a copy of a database has lost the roles' rights on the database itself
  return scratch;
}

/** A psql that stands in a transaction. */
async function held(t: TestContext, { owner, target }: Scratch, statements: string) {
  const session = await owner.reserve();
  t.after(() => session.release());
  await session.unsafe(statements).simple();
  const [row] = await session`
    select pg_backend_pid() as pid, to_char(now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"') as since`;
  const since = statements.startsWith("begin") ? `, in a transaction open since ${row?.["since"]}` : "";
  return {
    session,
    sentence:
      `pid ${row?.["pid"]}, login ${target.login} (coupon-setup), holds what it must lock${since}: ` +
      "end that session or wait for it, then try again",
  };
}

/** Sessions that wait for the table of the audit. */
async function waiting({ owner }: Scratch): Promise<number> {
  const [row] = await owner`
    select count(*)::integer as sessions from pg_locks where not granted and relation = 'coupon.audit'::regclass`;
  return row?.["sessions"];
}

/** Waits until somebody has asked from now on whom a session waits for, and was answered. */
function untilAsked({ target }: Scratch): Promise<void> {
  // By the login that asks: another one does not see its statements.
  return withConnection(target, async (sql) => {
    const [row] = await sql`select clock_timestamp()::text as since`;
    await until(async () => {
      const asked = await sql`
        select from pg_stat_activity
        where query like '%pg_blocking_pids(w.pid)%' and state = 'idle' and pid <> pg_backend_pid()
          and query_start > ${row?.["since"]}::text::timestamptz`;
      return asked.length > 0;
    });
  });
}

/** What can be held, by the step that waits for it. */
const holds: [step: string, statements: string, last: string[]][] = [
  ["another set-up is at work", `select pg_advisory_lock(${SETUP_LOCK})`, []],
  ["roles", "begin; grant connect on database DATABASE to coupon_monitor with grant option", ["roles"]],
  ["migrations", "begin; lock table coupon.schema_migrations", []],
  [
    "functions",
    "begin; alter function public.wallet(bigint, date, integer) cost 1000",
    ["roles", "migrations", "functions"],
  ],
  [
    "functions",
    "begin; revoke select on coupon.audit from coupon_monitor",
    ["roles", "migrations", "functions"],
  ],
  ["functions", "begin; lock table coupon.audit", ["roles", "migrations", "functions"]],
];

for (const [step, statements, last] of holds)
  test(`set-up behind "${statements}": a sentence that says who it is, and nothing waits`, async (t) => {
    const scratch = await open(t);
    const { sentence } = await held(t, scratch, statements.replace("DATABASE", scratch.target.database));
    const lines: string[] = [];
    await assert.rejects(
      setUp(scratch.target, (line) => lines.push(line), { attempts: 1 }),
      {
        message: `${step}: ${sentence}`,
      },
    );
    assert.deepEqual(lines, last);
  });

test("who waits too is not named, but who holds it", async (t) => {
  const scratch = await open(t);
  const statement = `grant connect on database ${scratch.target.database} to coupon_monitor with grant option`;
  const waiter = await scratch.owner.reserve();
  t.after(() => waiter.release());
  // Of a row the first who waits has a lock of its own, for which the others wait. Its transaction is the older one.
  await waiter`begin`;
  const { session, sentence } = await held(t, scratch, `begin; ${statement}`);
  const waited = waiter
    .unsafe(statement)
    .simple()
    .execute()
    .catch(() => {}); // "tuple concurrently updated", once the other one commits
  await until(async () => {
    const [row] = await scratch.owner`
      select count(*)::integer as locks from pg_locks where locktype = 'tuple' and relation = 'pg_database'::regclass`;
    return row?.["locks"] === 1;
  });
  await assert.rejects(
    setUp(scratch.target, () => {}, { attempts: 1 }),
    { message: `roles: ${sentence}` },
  );
  await session`commit`;
  await waited;
});

test("who lets go meanwhile is not named, but who holds it then", async (t) => {
  const scratch = await open(t);
  const statements = "begin; lock table coupon.audit";
  const first = await held(t, scratch, statements);
  const [second, waiter] = [await scratch.owner.reserve(), await scratch.owner.reserve()];
  t.after(() => {
    second.release();
    waiter.release();
  });
  const pidOf = async (session: typeof second) => (await session`select pg_backend_pid() as pid`)[0]?.["pid"];
  const named = await pidOf(second);
  const patience = createPatience(scratch.target, await pidOf(waiter), () => {}, 1);
  const work = async () => {
    const locked = second.unsafe(statements).simple().execute();
    await until(async () => (await waiting(scratch)) === 1);
    waiter
      .unsafe(statements)
      .simple()
      .execute()
      .catch(() => {}); // it waits until its session ends
    await until(async () => (await waiting(scratch)) === 2);
    await untilAsked(scratch);
    await first.session`commit`;
    await locked;
    await untilAsked(scratch);
    throw new LockTimeout("audit", undefined);
  };
  await assert.rejects(patience("tables", work), {
    message: new RegExp(`^audit: pid ${named}, login ${scratch.target.login} `),
  });
});

test("what was held is let go: set-up goes on", async (t) => {
  const scratch = await open(t);
  const { session } = await held(
    t,
    scratch,
    "begin; alter function public.wallet(bigint, date, integer) cost 1000",
  );
  let freed: Promise<unknown> = Promise.resolve();
  const lines: string[] = [];
  await setUp(scratch.target, (line) => {
    lines.push(line);
    if (line.startsWith("functions: ")) freed = session`commit`.execute();
  });
  await freed;
  assert.deepEqual(lines, [
    "roles",
    "migrations",
    "functions",
    "functions: waits for a lock, again in a moment",
  ]);
  const [row] = await scratch.owner`select procost from pg_proc where proname = 'wallet'`;
  assert.equal(row?.["procost"], 100, "the file's");
});

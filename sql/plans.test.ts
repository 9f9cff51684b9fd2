/**
 * The plans that the functions rely on: a grant is found by its position, since PostgreSQL expands position_key() in queries and in
 * the index, so that both match; and a batch is joined by hash, so that its time grows with its length and not with its square.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import postgres from "postgres";
import { rows, testDatabase } from "../bench/harness/rows.ts";
import { connect, type Sql } from "../db/connect.ts";
import { targetOf } from "../db/target.ts";

const { admin, owner, setupUrl, adminUrl, crowd, coupon } = await testDatabase();

const BY_POSITION = `
  select from coupon.user_coupons g
  where coupon.position_key(g.coupon_id, g.position) = coupon.position_key(7, 3)`;

async function plan(sql: Pick<Sql, "unsafe">): Promise<string> {
  const lines = await rows(sql.unsafe(`explain (costs off) ${BY_POSITION}`));
  return lines.flat().join("\n");
}

const probe =
  /^Index Scan using user_coupons_one_per_position .*\n +Index Cond: \(\(\(coupon_id \* 134217728\) \+ "position"\) = /;

test("a grant is found by its position's index, and position_key() is expanded", async () => {
  await owner.begin(async (sql) => {
    await sql`set local enable_bitmapscan = off`;
    assert.match(await plan(sql), probe);
  });
});

test("also in a session that has read the grants as a login of its own before", async (t) => {
  const session = connect(adminUrl);
  t.after(() => session.end());
  await session`select from coupon.user_coupons where coupon_id = 7`;
  await session`set enable_bitmapscan = off`;
  assert.match(await plan(session), probe);
});

interface Node {
  "Node Type": string;
  "Actual Rows": number;
  "Actual Loops": number;
  "Rows Removed by Filter"?: number;
  "Rows Removed by Join Filter"?: number;
  "Rows Removed by Index Recheck"?: number;
  Plans?: Node[];
}

/** A session whose statements, those in functions too, tell their plans (auto_explain); undefined where it cannot be asked for them. */
async function openExplaining(t: TestContext) {
  const plans: { query: string; node: Node; jit?: unknown }[] = [];
  const { connection, ...options } = targetOf(setupUrl).driverOptions();
  const sql = postgres({
    ...options,
    connection: { ...connection },
    max: 1,
    onnotice({ message = "" }) {
      const [, json] = message.match(/plan:\s*(\{.*\})/s) ?? [];
      if (json === undefined) return;
      const { "Query Text": query, Plan: node, JIT: jit } = JSON.parse(json);
      plans.push({ query, node, jit });
    },
  });
  t.after(() => sql.end());
  // Where it is not loaded, PostgreSQL takes settings of its names and does nothing.
  const [may] = await rows(sql`
    select has_parameter_privilege(name, 'set') from pg_settings where name = 'auto_explain.log_analyze'`);
  if (!may?.[0]) {
    t.skip("needs auto_explain, and a login that may set it");
    return undefined;
  }
  await sql.unsafe(`
    set auto_explain.log_analyze = on; set auto_explain.log_timing = off; set auto_explain.log_nested_statements = on;
    set auto_explain.log_format = json; set auto_explain.log_level = notice; set auto_explain.log_min_duration = 0;
    set role coupon_owner`);
  return { sql, plans };
}

/** Rows that a node read and threw away, or touched, in all its loops. */
function effort(node: Node): { removed: number; touched: number } {
  const loops = node["Actual Loops"];
  const removed =
    loops *
    ((node["Rows Removed by Filter"] ?? 0) +
      (node["Rows Removed by Join Filter"] ?? 0) +
      (node["Rows Removed by Index Recheck"] ?? 0));
  const below = (node.Plans ?? []).map(effort);
  return {
    removed: removed + below.reduce((sum, each) => sum + each.removed, 0),
    touched: Math.max(loops * node["Actual Rows"], ...below.map((each) => each.touched)),
  };
}
/** How many rows one statement in a call threw away, and how many one of its steps touched, at most. */
async function most(t: TestContext, call: (sql: Sql) => Promise<unknown>) {
  const session = await openExplaining(t);
  if (session === undefined) return undefined;
  const { sql, plans } = session;
  // Twice: the second call's plans are those that a session keeps.
  await call(sql);
  plans.length = 0;
  await call(sql);
  assert.ok(plans.length > 1, "the statements in the function tell their plans");
  const efforts = plans.map(({ query, node }) => ({ query, ...effort(node) }));
  const largest = (member: "removed" | "touched") =>
    efforts.reduce((most, each) => (each[member] > most[member] ? each : most));
  return { removed: largest("removed"), touched: largest("touched") };
}

const BATCH = 1_000;
/** A few for each of the batch. A nested loop over the batch would make it half a million. */
const FEW = 4 * BATCH;

for (const [what, prepare] of [
  ["that is granted", (ids: number[]) => crowd(ids.length)],
  ["of which a quarter is unknown, a quarter holds it, and a quarter has spent the day", mixed],
] as const)
  test(`issue_coupons(): no statement compares each with each, for a batch ${what}`, async (t) => {
    const id = await coupon({ count: 1_000_000 });
    const empty = Array<number>(BATCH).fill(0);
    const batches = [await prepare(empty, id), await prepare(empty, id)];
    const found = await most(
      t,
      (sql) => sql`select count(*) from public.issue_coupons(${id}, ${batches.pop() as number[]}::bigint[])`,
    );
    if (found === undefined) return;
    assert.ok(
      found.removed.removed <= FEW,
      `${found.removed.removed} rows removed by ${found.removed.query}`,
    );
    assert.ok(found.touched.touched <= FEW, `${found.touched.touched} rows in ${found.touched.query}`);
  });

async function mixed(ids: number[], id: number): Promise<number[]> {
  const quarter = ids.length / 4;
  const other = await coupon({ count: 1_000_000 });
  const [holders, spent, fresh] = [await crowd(quarter), await crowd(quarter), await crowd(quarter)];
  for (const [which, those] of [
    [id, holders],
    [other, spent],
  ] as const)
    await admin`select count(*) from issue_coupons(${which}, ${those}::bigint[])`;
  const unknown = Array.from({ length: quarter }, (_, i) => 1_000_000_000 + i);
  return holders.flatMap((holder, i) => [holder, spent[i], unknown[i], fresh[i]] as number[]);
}

test("import_users(): no statement compares each with each", async (t) => {
  let first = 500_000_000;
  const found = await most(t, (sql) => {
    // Half of them are there already.
    const ids = Array.from({ length: BATCH }, (_, i) => first + i);
    first += BATCH / 2;
    return sql`select count(*) from public.import_users(${ids}::bigint[], ${ids.map((each) => `n${each}`)}::text[])`;
  });
  if (found === undefined) return;
  assert.ok(found.removed.removed <= FEW, `${found.removed.removed} rows removed by ${found.removed.query}`);
  assert.ok(found.touched.touched <= FEW, `${found.touched.touched} rows in ${found.touched.query}`);
});

let unknown = 700_000_000;
for (const [what, call] of [
  [
    "import_users()",
    (sql: Sql, ids: number[]) =>
      sql`select count(*) from public.import_users(${ids}::bigint[], ${ids.map((id) => `n${id}`)}::text[])`,
  ],
  [
    "resolve_subjects()",
    (sql: Sql, ids: number[]) =>
      sql`select count(*) from public.resolve_subjects('of plans', ${ids.map(String)}::text[], null, true)`,
  ],
  [
    "an insert by hand",
    (sql: Sql, ids: number[]) =>
      sql`insert into coupon.users (id, display_name) select i.id, 'n' from unnest(${ids}::bigint[]) i (id)`,
  ],
] as const)
  test(`${what}: of those who are forgotten, only who is given is read`, async (t) => {
    await owner`alter table coupon.forgotten_users disable trigger user`;
    await owner`insert into coupon.forgotten_users (user_id) select generate_series(1, ${10 * BATCH}::integer) on conflict do nothing`;
    await owner`alter table coupon.forgotten_users enable trigger user`;
    await owner`analyze coupon.forgotten_users`;
    const found = await most(t, (sql) =>
      call(
        sql,
        Array.from({ length: BATCH }, () => unknown++),
      ),
    );
    if (found === undefined) return;
    assert.ok(
      found.removed.removed <= FEW,
      `${found.removed.removed} rows removed by ${found.removed.query}`,
    );
    assert.ok(found.touched.touched <= FEW, `${found.touched.touched} rows in ${found.touched.query}`);
  });

for (const [call, prepared] of [
  ["add_to_group", "outsiders"],
  ["remove_from_group", "members"],
] as const)
  test(`${call}(): no statement compares each with each, or reads users who are not asked for`, async (t) => {
    const users = await crowd(20 * BATCH);
    if (prepared === "members")
      await admin`select count(*) from add_to_group('plans', ${users.slice(0, 10 * BATCH)}::bigint[])`;
    await owner`analyze coupon.users, coupon.group_members`;
    let first = 0;
    const found = await most(t, (sql) => {
      first += BATCH;
      return sql`select count(*) from public.${sql(call)}('plans', ${users.slice(first - BATCH, first)}::bigint[])`;
    });
    if (found === undefined) return;
    assert.ok(
      found.removed.removed <= FEW,
      `${found.removed.removed} rows removed by ${found.removed.query}`,
    );
    assert.ok(found.touched.touched <= FEW, `${found.touched.touched} rows in ${found.touched.query}`);
  });

test("resolve_subjects(): no statement compares each with each", async (t) => {
  let first = 0;
  const found = await most(t, (sql) => {
    // Half of them are known.
    const subjects = Array.from({ length: BATCH }, (_, i) => `auth0|${first + i}`);
    first += BATCH / 2;
    return sql`select count(*) from public.resolve_subjects('https://id.example/', ${subjects}::text[], null, true)`;
  });
  if (found === undefined) return;
  assert.ok(found.removed.removed <= FEW, `${found.removed.removed} rows removed by ${found.removed.query}`);
  assert.ok(found.touched.touched <= FEW, `${found.touched.touched} rows in ${found.touched.query}`);
});

/** Coupons of thirty years that have ended, and those of a hundred days to come. */
async function thirtyYears(): Promise<void> {
  await owner`
    insert into coupon.coupons (code, message, description, start_time, expiry, count, time_zone, live_on, slot)
    select case when n % 1000 = 0 then 'RARE-' else 'OFTEN-' end || n, 'm', '',
      d.day - (n / 2) * interval '1 day' - (n % 2) * interval '1 hour',
      d.day - (n / 2) * interval '1 day' + interval '1 hour', n % 2 + 1, s.time_zone, '2000-01-01', n % 2 + 2
    from coupon.settings s, (select date_trunc('day', clock_timestamp()) + interval '100 days') d (day), generate_series(0, 21999) n`;
  await owner`analyze coupon.coupons`;
}

test("list_coupons(): a page reads as many coupons as it has and as have not ended, at any depth", async (t) => {
  await thirtyYears();
  const deep = "before => '1999-01-01'";
  for (const args of [
    "",
    deep,
    "'ended'",
    `'ended', ${deep}`,
    "'live'",
    "'upcoming'",
    "'sold_out'",
    `'paused', ${deep}`,
    "code_prefix => 'rare-'",
    `code_prefix => 'rare-', ${deep}`,
    "code_prefix => 'often-'",
    `'ended', code_prefix => 'often-', ${deep}`,
    "code_prefix => 'nothing'",
    "since => '2000-01-01', before => '2000-02-01'",
  ]) {
    const found = await most(t, (sql) => sql.unsafe(`select count(*) from public.list_coupons(${args})`));
    if (found === undefined) return;
    for (const rows of [found.removed.removed, found.touched.touched])
      assert.ok(rows <= 250, `${args}: ${rows}`);
  }
});

for (const list of ["live_coupons", "upcoming_coupons"])
  test(`${list}(): a page reads no coupon that has ended`, async (t) => {
    const found = await most(t, (sql) => sql.unsafe(`select count(*) from public.${list}()`));
    if (found === undefined) return;
    for (const rows of [found.removed.removed, found.touched.touched]) assert.ok(rows <= 250, `${rows}`);
  });

// The embedded PostgreSQL cannot compile, Debian's can.
const [canCompile] = await rows(admin`select pg_jit_available()`);
if (canCompile?.[0])
  for (const [call, part] of [
    ["reconcile()", "issued_equals_grants"],
    ["preview_days()", "coupon.planned m"],
  ] as const)
    test(`${call}: none of its expressions is compiled`, async (t) => {
      const session = await openExplaining(t);
      if (session === undefined) return;
      const { sql, plans } = session;
      await sql`set jit = on`;
      await sql`set jit_above_cost = 0`;
      await sql.unsafe(`select * from public.${call}`);
      const body = plans.filter(({ query }) => query.includes(part));
      assert.deepEqual(
        body.map(({ jit }) => jit),
        [undefined],
      );
    });

test("reasons that name somebody are found by their words, in an index, whatever the script", async () => {
  for (const name of ["Ann Lee", "auth0|656f1a", "李雷", "O'Brien (Jr.)"]) {
    const lines = await owner.begin(async (sql) => {
      await sql`set local enable_seqscan = off`; // as forget_user() does
      return rows(sql`
        explain (costs off) select from coupon.audit a
        where a.reason is not null and coupon.words_of(a.reason) @> coupon.words_of(${name})`);
    });
    assert.match(lines.flat().join("\n"), /Bitmap Index Scan on audit_with_reason\n/, name);
  }
});

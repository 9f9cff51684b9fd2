/** What the server's own login can't do, and what nobody gets by making something new. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, testDatabase, value } from "../bench/harness/rows.ts";
import { connect } from "../db/connect.ts";

const { owner, adminUrl, apiUrl, user, coupon } = await testDatabase();

test("a grant of the server's login is durable, whatever its session asked for", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  for (const level of ["off", "local"]) {
    await api.unsafe(`set synchronous_commit = ${level}`);
    for (const call of [
      "select from issue_coupon($1, $2)",
      "select from issue_coupons($2, array[$1::bigint])",
    ]) {
      const ids = [await user(), await coupon()];
      const during = await api.begin(async (sql) => {
        await sql.unsafe(call, ids);
        return value(sql`show synchronous_commit`);
      });
      assert.deepEqual([during, await value(api`show synchronous_commit`)], ["on", level], call);
    }
  }
});

test("the server's login is no other role, reads no table, and switches no guard off", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  const tables = (
    await rows(owner`
    select format('coupon.%I', c.relname) from pg_class c
    where c.relnamespace = 'coupon'::regnamespace and c.relkind in ('r', 'v', 'm', 'S')`)
  ).flat() as string[];
  assert.ok(tables.length >= 8);
  for (const statement of [
    ...["coupon_owner", "coupon_admin", "coupon_monitor"].map((role) => `set role ${role}`),
    ...tables.map((name) => `select from ${name}`),
    "set session_replication_role = replica",
    "alter function public.reconcile() owner to coupon_api",
    "grant coupon_admin to coupon_api",
    "create function public.mine() returns integer language sql as 'select 1'",
    "copy (select 1) to program 'true'",
    "select pg_read_file('/etc/passwd')",
  ])
    await assert.rejects(api.unsafe(statement), { code: "42501" }, statement);
});

test("nobody but the owner can hold up issuing or a change of a coupon by a lock", async (t) => {
  const session = connect(adminUrl);
  t.after(() => session.end());
  for (const lock of [
    "lock table coupon.issuing in row share mode",
    "lock table coupon.issuing in exclusive mode",
    "select from coupon.leases for key share",
    "select from coupon.coupons for key share",
    "select from coupon.settings for key share",
  ])
    await assert.rejects(
      session.begin((sql) => sql.unsafe(lock)),
      { code: "42501" },
      lock,
    );
  // Any login may take an advisory lock.
  assert.deepEqual(
    await rows(owner`
      select p.proname from pg_proc p
      where p.pronamespace in ('public'::regnamespace, 'coupon'::regnamespace) and p.prosrc like '%advisory%'`),
    [],
  );
  // What such a login may hold: a read of the empty table, as pg_dump does.
  const [lunch, holder] = [await coupon(), await user()];
  await session.begin(async (reading) => {
    await reading`lock table coupon.issuing in access share mode`;
    const outcome = owner.begin(async (sql) => {
      await sql`set local lock_timeout = '1ms'`;
      return value(sql`select outcome from issue_coupon(${holder}, ${lunch})`);
    });
    assert.equal(await outcome, "issued");
  });
});

/** Of each function that coupon_admin may call, calls that reach what it does. */
const callsOf = (holder: number, other: number, lunch: number, dinner: number) => [
  `issue_coupon(${holder}, ${lunch})`,
  `issue_coupons(${lunch}, array[${holder}, ${other}])`,
  `wallet(${holder})`,
  `use_coupon(${holder}, ${lunch}, 'order-1')`,
  `undo_use(${holder}, ${lunch}, 'cancelled', 'till:1', true)`,
  `undo_use(${holder}, ${lunch}, 'cancelled')`,
  `use_claim((select claim_code from wallet(${holder})), 'order-1', 'till:1')`,
  `undo_claim((select claim_code from wallet(${holder})), 'cancelled', 'till:1', true)`,
  "claim_secrets()",
  "rotate_claim_secret()",
  "retire_claim_secret(1)",
  `pause_coupon(${lunch})`,
  `resume_coupon(${lunch})`,
  `set_coupon_count(${lunch}, 20)`,
  `set_coupon_expiry(${lunch}, now() + '2 hours')`,
  `set_coupon_start(${dinner}, now() + '3 days')`,
  `set_coupon_group(${dinner}, 'spies', now() + '2 days')`,
  `edit_coupon(${dinner}, 'SPY-2', metadata => '{"spy": true}')`,
  `withdraw_coupon(${dinner})`,
  "create_coupon('SPY', 'message', 'description', '2058-01-01', '2058-01-02', 1)",
  "set_plan_entry(1, 1, 'SPY-{date}', 'message', 'description', '11:00', '12:00', 1)",
  "list_plan()",
  "preview_days()",
  "fill_days()",
  "copy_day('2058-01-01', '2058-02-01')",
  "remove_plan_entry(1, 1)",
  `add_to_group('spies', array[${other}])`,
  "list_groups()",
  "list_group('spies')",
  `remove_from_group('spies', array[${other}])`,
  "import_users(array[1], array['Ann'])",
  "resolve_subjects('https://id.example/', '{spy}', null, true)",
  "find_subjects(subject => 'spy')",
  "record_key('spy', 'name', 'use', '2059-01-01')",
  "revoke_key('spy')",
  "list_keys()",
  "forget_subjects()",
  "import_incoming_users()",
  "live_coupons()",
  "upcoming_coupons()",
  "list_coupons(code_prefix => 's')",
  `find_coupon(${lunch})`,
  `coupon_stats(${lunch})`,
  `coupon_timeline(${lunch})`,
  "coupon_status()",
  "daily_summary()",
  "audit_trail()",
  "events()",
  `list_grants(${lunch})`,
  "list_users()",
  "fold_grants()",
  "fold_demand()",
  "retire_coupons('2020-01-01')",
  `forget_user(${holder}, 'asked to')`,
  "schema_version()",
  "set_time_zone('UTC')",
  "set_webhook('spy', 'https://spy.example/', '{issued}', null)",
  "rotate_webhook_secret('spy')",
  "list_webhooks()",
  "list_webhook_deliveries('spy')",
  "resend_webhook('spy')",
  "disable_webhook('spy')",
  "enable_webhook('spy')",
  "remove_webhook('spy')",
  "reconcile()",
];

test("a caller's own types, which call what they like, are not those of a function", async (t) => {
  const session = connect(adminUrl);
  t.after(() => session.end());
  await session`
    create function pg_temp.spy() returns boolean language plpgsql as $$
    begin
      if current_user <> session_user then raise exception 'it runs as %', current_user; end if;
      return true;
    end $$`;
  for (const type of ["text", "date", "timestamptz", "jsonb", "int8", "regclass"])
    await session.unsafe(`create domain pg_temp.${type} as pg_catalog.${type} check (pg_temp.spy())`);
  const calls = callsOf(
    await user(),
    await user(),
    await coupon(),
    await coupon({ from: "1 day", until: "9 days" }),
  );
  const callable = await rows(owner`
    select distinct p.proname::text from pg_proc p
    where p.pronamespace = 'public'::regnamespace and has_function_privilege('coupon_admin', p.oid, 'execute')
    order by 1`);
  assert.deepEqual([...new Set(calls.map((call) => call.replace(/\(.*/s, "")))].toSorted(), callable.flat());
  for (const call of calls)
    await session
      .begin(async (sql) => {
        if (call.startsWith("import_incoming"))
          await sql`insert into coupon.incoming_users (user_id, display_name) values ('2', 'Ben')`;
        await sql.unsafe(`select from ${call}`);
      })
      .catch((error) => assert.fail(`${call}: ${error.message}`));
});

test("of our roles only coupon_admin is a member of another, coupon_monitor", async () => {
  const members = owner`
    select m.member::regrole::text, m.roleid::regrole::text
    from pg_auth_members m
    where m.member in ('coupon_owner'::regrole, 'coupon_api'::regrole, 'coupon_admin'::regrole, 'coupon_monitor'::regrole)`;
  assert.deepEqual(await rows(members), [["coupon_admin", "coupon_monitor"]]);
});

test("what the owner makes next is nobody else's, but that a type may be a column of somebody's table", async () => {
  await owner
    .begin(async (sql) => {
      await sql`create function public.fresh() returns integer language sql return 1`;
      await sql`create function coupon.fresh() returns integer language sql return 1`;
      await sql`create type public.fresh_enum as enum ('a')`;
      await sql`create table coupon.fresh_table (id integer)`;
      await sql`create sequence coupon.fresh_sequence`;
      const granted = await rows(sql`
        select o.what, a.grantee::regrole::text, a.privilege_type
        from (
          select 'function', p.proacl, 'f'::"char", p.proowner from pg_proc p where p.proname = 'fresh'
          union all select 'type', t.typacl, 'T', t.typowner from pg_type t where t.typname = 'fresh_enum'
          union all select c.relname, c.relacl, case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner
            from pg_class c where c.relname in ('fresh_table', 'fresh_sequence')
        ) o (what, acl, kind, owner)
        cross join lateral aclexplode(coalesce(o.acl, acldefault(o.kind, o.owner))) a
        where a.grantee <> 'coupon_owner'::regrole`);
      assert.deepEqual(granted, [["type", "coupon_monitor", "USAGE"]]);
      throw new Error("undone");
    })
    .catch((error: Error) => assert.equal(error.message, "undone", error.stack));
});

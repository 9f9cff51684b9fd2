/** The house rules of sql/ and db/migrations/, asserted from the catalogue and from the files' names. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, apiUrl } = await testDatabase();

const HERE = new URL("./", import.meta.url);
const files = (await readdir(HERE, { recursive: true })).map((name) => name.replaceAll("\\", "/"));
const withoutEnd = (name: string) => name.replace(/\.sql$/, "").replace(/^internal\//, "");

/** Asserts that a query, which lists what breaks a rule, finds nothing. */
async function none(query: Parameters<typeof rows>[0]) {
  assert.deepEqual(await rows(query), []);
}

const ourFunctions = owner`
  select p.oid, p.oid::regprocedure::text as signature, p.proname, n.nspname, p.prosecdef, p.provolatile, p.proisstrict,
    p.proconfig, p.prosqlbody, p.prorettype, p.proowner, p.proparallel, l.lanname
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  join pg_language l on l.oid = p.prolang
  where n.nspname in ('public', 'coupon')`;

test("every function is coupon_owner's, has a comment, and takes its search path from nobody", () =>
  none(owner`
    select f.signature
    from (${ourFunctions}) f
    where f.proowner <> 'coupon_owner'::regrole
      or coalesce(obj_description(f.oid, 'pg_proc'), '') = ''
      or (f.prosqlbody is null and not coalesce(f.proconfig, '{}') @> array['search_path=pg_catalog, pg_temp'])`));

test("README.md names each migration, in their order", async () => {
  const migrations = (await readdir(new URL("../db/migrations/", HERE))).sort();
  const names = migrations.map((name) => name.replace(/^\d+_(\w+_(?=guards))?|\.sql$/g, ""));
  const [, list = ""] =
    (await readFile(new URL("README.md", HERE), "utf8")).match(/\(\.\.\/db\/migrations\): ([^.]+)\./) ?? [];
  assert.deepEqual(
    [...list.matchAll(/`(\w+)`/g)].map(([, name]) => name),
    [...new Set(names)],
  );
});

test("a function that switches a kind of plan off switches JIT off too, or PostgreSQL before 18 compiles its query", () =>
  none(owner`
    select f.signature from (${ourFunctions}) f
    where f.proconfig::text like '%enable\\_%=off%' and not f.proconfig @> array['jit=off']`));

test("functions that callers get act as their owner, and deferred ones, which run at commit; the others don't", () =>
  none(owner`
    select f.signature from (${ourFunctions}) f
    where f.prosecdef <> (
      f.nspname = 'public' or exists (select from pg_trigger t where t.tgfoid = f.oid and t.tginitdeferred))`));

test("functions are volatile, since they read the clock after a wait, but for those that only compute", async () => {
  const others = owner`
    select f.proname, f.provolatile from (${ourFunctions}) f where f.provolatile <> 'v' order by f.proname`;
  assert.deepEqual(await rows(others), [
    ["claim_code", "i"],
    ["code_of", "i"],
    ["common_refusal", "i"],
    ["describe_coupon", "i"],
    ["digest_subject", "i"],
    ["event_id", "s"],
    ["event_of", "s"],
    ["event_place", "i"],
    ["first_start", "i"],
    ["forgotten", "i"],
    ["function_set", "i"],
    ["is_short_lived", "i"],
    ["keeps_snapshot", "s"],
    ["last_place", "i"],
    ["mix_claim", "i"],
    ["new_grants", "s"],
    ["position_key", "i"],
    ["state_of", "i"],
    ["take_out", "i"],
    ["terms_of", "i"],
    ["webhook_pause", "i"],
    ["words_of", "i"],
  ]);
});

test("no function answers a null argument with a silent null", () =>
  none(owner`select f.signature from (${ourFunctions}) f where f.proisstrict`));

test("functions are PL/pgSQL or SQL, each name is one signature", async () => {
  await none(owner`select f.signature from (${ourFunctions}) f where f.lanname not in ('plpgsql', 'sql')`);
  await none(owner`select f.proname from (${ourFunctions}) f group by f.proname having count(*) > 1`);
});

test("every table, enum and composite type has a comment", async () => {
  await none(owner`
    select c.relname from pg_class c
    where c.relnamespace = 'coupon'::regnamespace and c.relkind in ('r', 'v', 'p') and c.relname <> 'schema_migrations'
      and coalesce(obj_description(c.oid, 'pg_class'), '') = ''`);
  await none(owner`
    select t.typname from pg_type t
    left join pg_class c on c.oid = t.typrelid
    where t.typnamespace in ('public'::regnamespace, 'coupon'::regnamespace) and (t.typtype = 'e' or c.relkind = 'c')
      and coalesce(obj_description(t.oid, 'pg_type'), obj_description(c.oid, 'pg_class'), '') = ''`);
  assert.notEqual(await value(owner`select obj_description('coupon'::regnamespace, 'pg_namespace')`), null);
});

test("every column has a comment, but for those that say themselves what they are", async () => {
  const silent = owner`
    select c.relname, array_agg(a.attname::text order by a.attnum)
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relnamespace = 'coupon'::regnamespace and c.relkind = 'r' and c.relname <> 'schema_migrations'
      and a.attnum > 0 and not a.attisdropped and col_description(c.oid, a.attnum) is null
    group by c.relname order by c.relname`;
  assert.deepEqual(await rows(silent), [
    ["audit", ["id"]],
    ["coupons", ["id", "message", "description", "start_time", "expiry", "count", "created_at"]],
    ["demand", ["coupon_id"]],
    ["folded", ["only_row", "issued_on", "user_id"]],
    ["forgotten_users", ["user_id", "forgotten_at"]],
    ["gathered", ["only_row"]],
    ["group_members", ["user_id"]],
    ["incoming_users", ["display_name"]],
    ["leases", ["coupon_id"]],
    ["past_grants", ["user_id", "issued_on", "coupon_id"]],
    ["plan", ["message", "description", "count", "metadata"]],
    [
      "retired_coupons",
      [
        "coupon_id",
        "code",
        "start_time",
        "expiry",
        "live_on",
        "count",
        "issued",
        "sold_out_at",
        "retired_at",
      ],
    ],
    ["retired_grants", ["issued_on", "coupon_id", "issued", "used", "first_issued_at", "last_issued_at"]],
    ["settings", ["only_row"]],
    ["use_counts", ["coupon_id"]],
    ["user_coupons", ["user_id", "coupon_id"]],
    ["users", ["display_name"]],
    ["webhook_deliveries", ["webhook_name"]],
    ["webhook_secrets", ["webhook_name"]],
    ["webhook_sender", ["only_row"]],
    ["webhooks", ["created_at", "disabled_reason"]],
  ]);
});

test("the manifest lists every file of functions once, and the rights last", async () => {
  const manifest = (await readFile(new URL("manifest.txt", HERE), "utf8")).split("\n").filter(Boolean);
  const onDisk = files.filter((name) => name.endsWith(".sql") && name !== "roles.sql");
  assert.deepEqual(manifest.toSorted(), onDisk.toSorted());
  assert.equal(manifest.at(-1), "grants.sql");
});

test("a file is one function and has its name; those of guards and of an index live in a migration", async () => {
  const functionFiles = files.filter((name) => /\.sql$/.test(name) && !/^(roles|grants)\.sql$/.test(name));
  for (const file of functionFiles) {
    const text = await readFile(new URL(file, HERE), "utf8");
    const schema = file.startsWith("internal/") ? "coupon" : "public";
    const made = [...text.matchAll(/^create .*?\b(function|procedure|view|table) ([\w.]+)/gm)].map(
      (match) => match[2],
    );
    assert.deepEqual(made, [`${schema}.${withoutEnd(file)}`], file);
    assert.match(text, /^-- \S/, `${file} begins with a sentence`);
  }
  const inDatabase = owner`
    select f.proname from (${ourFunctions}) f
    where f.prorettype <> 'trigger'::regtype and f.proname not in ('position_key', 'words_of') order by f.proname`;
  assert.deepEqual((await rows(inDatabase)).flat(), functionFiles.map(withoutEnd).toSorted());
});

test("every function that callers get has its test beside it", async () => {
  const functions = (
    await rows(owner`select f.proname from (${ourFunctions}) f where f.nspname = 'public'`)
  ).flat();
  assert.deepEqual(
    functions.filter((name) => !files.includes(`${name}.test.ts`)),
    [],
  );
});

test("a command's file begins with its outcomes, in the order in which the enum declares them", async () => {
  const enums = await rows(owner`
    select replace(t.typname, '_outcome', ''), string_agg(e.enumlabel, ' · ' order by e.enumsortorder)
    from pg_enum e join pg_type t on t.oid = e.enumtypid
    where t.typnamespace = 'public'::regnamespace and t.typname like '%\\_outcome' group by t.typname`);
  assert.ok(enums.length > 0);
  for (const [command, outcomes] of enums as [string, string][]) {
    const text = await readFile(new URL(`${command}.sql`, HERE), "utf8");
    const head = text.slice(0, text.indexOf("create or replace")).replaceAll(/\s*\n-- /g, " ");
    assert.ok(head.includes(outcomes), `${command}.sql: ${outcomes}`);
  }
});

test("a command answers with its outcome first", () =>
  none(owner`
    select f.signature
    from (${ourFunctions}) f
    join pg_proc p on p.oid = f.oid
    join pg_type t on t.typname = f.proname || '_outcome'
    where p.proallargtypes[p.pronargs + 1] <> t.oid or p.proargnames[p.pronargs + 1] <> 'outcome'`));

/** Who may call what: a for coupon_api, d for coupon_admin, m for coupon_monitor. */
const RIGHTS: Record<string, string> = {
  "add_to_group(text,bigint[],text,text)": "ad",
  "audit_trail(bigint,bigint,timestamp with time zone,bigint,integer)": "adm",
  "claim_secrets()": "adm",
  "copy_day(date,date,text,text)": "ad",
  "coupon_leases(bigint[],integer[],timestamp with time zone[],boolean)": "a",
  "coupon_stats(bigint)": "adm",
  "coupon_status()": "adm",
  "count_demand(uuid,bigint,interval,bigint[],integer[],integer[])": "a",
  "coupon_timeline(bigint,interval,timestamp with time zone,timestamp with time zone)": "adm",
  "create_coupon(text,text,text,timestamp with time zone,timestamp with time zone,integer,jsonb,text,text)":
    "ad",
  "daily_summary(date,date)": "adm",
  "edit_coupon(bigint,text,text,text,jsonb,text,text)": "ad",
  "events(text,integer)": "ad",
  "fill_days(date,text,text)": "ad",
  "find_coupon(bigint,text)": "adm",
  "find_subjects(bigint,text,text)": "adm",
  "fold_demand(integer)": "ad",
  "fold_grants(integer)": "ad",
  "forget_subjects()": "ad",
  "forget_user(bigint,text,text)": "ad",
  "import_incoming_users(text,text)": "d",
  "import_users(bigint[],text[],text,text)": "ad",
  "issue_coupon(bigint,bigint)": "ad",
  "issue_coupons(bigint,bigint[])": "ad",
  "list_grants(bigint,integer,integer)": "adm",
  "list_group(text,bigint,integer)": "adm",
  "list_groups(text,integer)": "adm",
  "list_keys()": "adm",
  "list_plan()": "adm",
  "list_users(bigint,integer)": "adm",
  "list_coupons(coupon_state,timestamp with time zone,timestamp with time zone,text,integer)": "adm",
  "live_coupons(timestamp with time zone,integer)": "adm",
  "pause_coupon(bigint,text,text)": "ad",
  "preview_days(date,date)": "ad",
  "reconcile()": "dm",
  "record_key(text,text,text,timestamp with time zone,text,text)": "d",
  "revoke_key(text,text,text)": "ad",
  "revoked_keys()": "a",
  "remove_from_group(text,bigint[],text,text)": "ad",
  "remove_plan_entry(integer,integer,text,text)": "ad",
  "resolve_subjects(text,text[],text[],boolean)": "ad",
  "resume_coupon(bigint,text,text)": "ad",
  "retire_claim_secret(integer,text,text)": "d",
  "rotate_claim_secret(text,text)": "d",
  "retire_coupons(date,integer,text,text)": "ad",
  "schema_version()": "adm",
  "set_coupon_count(bigint,integer,text,text)": "ad",
  "set_coupon_expiry(bigint,timestamp with time zone,text,text)": "ad",
  "set_coupon_group(bigint,text,timestamp with time zone,text,text)": "ad",
  "set_coupon_start(bigint,timestamp with time zone,text,text)": "ad",
  "set_plan_entry(integer,integer,text,text,text,time without time zone,time without time zone,integer,integer,jsonb,text,text)":
    "ad",
  "set_time_zone(text,text,text)": "d",
  "undo_claim(text,text,text,boolean,timestamp with time zone)": "ad",
  "undo_use(bigint,bigint,text,text,boolean,timestamp with time zone)": "ad",
  "upcoming_coupons(timestamp with time zone,integer)": "adm",
  "use_claim(text,text,text)": "ad",
  "use_coupon(bigint,bigint,text,text)": "ad",
  "wallet(bigint,date,integer)": "adm",
  "withdraw_coupon(bigint,text,text)": "ad",
  "set_webhook(text,text,event_type[],text,text,text)": "ad",
  "rotate_webhook_secret(text,text,text)": "ad",
  "enable_webhook(text,text,text)": "ad",
  "disable_webhook(text,text,text)": "ad",
  "remove_webhook(text,text,text)": "ad",
  "resend_webhook(text,text,text,text)": "ad",
  "list_webhooks()": "ad",
  "list_webhook_deliveries(text,integer)": "ad",
  "claim_webhooks(uuid,boolean)": "a",
  "webhook_target(text)": "a",
  "next_webhook_events(uuid,text,integer)": "a",
  "tell_webhook(uuid,text,timestamp with time zone,text,text[],text[],integer[],text[],integer[])": "a",
  "coupon.add_lease()": "",
  "coupon.asked_for(coupon.coupons)": "",
  "coupon.carry_expiry()": "",
  "coupon.check_audit()": "",
  "coupon.check_claim_code(text)": "",
  "coupon.check_days(date,date)": "",
  "coupon.check_audit_change()": "",
  "coupon.check_coupon_is_retired()": "",
  "coupon.check_day_is_open()": "",
  "coupon.check_expiry()": "",
  "coupon.check_forgotten_user()": "",
  "coupon.check_gone_grants()": "",
  "coupon.check_issued_equals_grants()": "",
  "coupon.check_group_name(text)": "",
  "coupon.check_leases()": "",
  "coupon.check_members(text,bigint[])": "",
  "coupon.check_new_grants()": "",
  "coupon.check_new_users()": "",
  "coupon.check_reason_and_actor(text,text)": "",
  "coupon.check_subjects(text,text[])": "",
  "coupon.check_key_change()": "",
  "coupon.check_key_id(text)": "",
  "coupon.digest_subject(text,text)": "",
  "coupon.next_user_id()": "",
  "coupon.check_reference(text)": "",
  "coupon.check_retired_coupon()": "",
  "coupon.check_retirement()": "",
  "coupon.check_texts(text,text,text,jsonb)": "",
  "coupon.check_undo(text,text,boolean)": "",
  "coupon.check_user_ids(bigint[])": "",
  "coupon.check_use()": "",
  "coupon.check_use_is_undone()": "",
  "coupon.claim_code(integer,bytea,bigint,integer)": "",
  "coupon.code_of(text,date,integer)": "",
  "coupon.check_user_is_forgotten()": "",
  "coupon.clear_incoming_users()": "",
  "coupon.commit_durably()": "",
  "coupon.common_refusal(coupon.coupons,timestamp with time zone)": "",
  "coupon.count_use()": "",
  "coupon.decide_day()": "",
  "coupon.describe_coupon(coupon.coupons,timestamp with time zone,bigint)": "",
  "coupon.earliest_use(coupon.user_coupons)": "",
  "coupon.event_id(coupon.events,integer)": "",
  "coupon.event_of(coupon.audit)": "",
  "coupon.event_place(text)": "",
  "coupon.events_after(bigint,integer,integer,bigint,bigint,event_type[])": "",
  "coupon.check_webhook_name(text)": "",
  "coupon.webhook_pause(integer)": "",
  "coupon.holds_webhooks(uuid)": "",
  "coupon.stop_webhook(text,text,text,text)": "",
  "coupon.fence_replay()": "",
  "coupon.find_claim(text)": "",
  "coupon.first_start(coupon.coupons)": "",
  "coupon.find_place(timestamp with time zone,integer,bigint)": "",
  "coupon.forgotten()": "",
  "coupon.function_set()": "",
  "coupon.gather_events()": "",
  "coupon.is_short_lived(timestamp with time zone,timestamp with time zone,timestamp with time zone)": "",
  "coupon.is_time_zone(text)": "",
  "coupon.issued_before(bigint,timestamp with time zone,integer,integer)": "",
  "coupon.keeps_snapshot()": "",
  "coupon.last_place(coupon.events)": "",
  "coupon.let_leases_run_out()": "",
  "coupon.lock_issuing(bigint)": "",
  "coupon.make_coupons(planned_coupon[],boolean,text,text)": "",
  "coupon.mix_claim(bytea,bigint,boolean)": "",
  "coupon.new_grants()": "",
  "coupon.outlive_leases(bigint)": "",
  "coupon.planned_on(date,date)": "",
  "coupon.position_key(bigint,integer)": "dm",
  "coupon.refuse_argument(text,text)": "",
  "coupon.refuse_change()": "",
  "coupon.set_paused(bigint,boolean,text,text)": "",
  "coupon.state_of(coupon.coupons,timestamp with time zone)": "",
  "coupon.take_out(text,text)": "",
  "coupon.time_sell_out()": "",
  "coupon.terms_of(coupon.coupons)": "",
  "coupon.today()": "",
  "coupon.waiting_events(coupon.webhooks)": "",
  "coupon.words_of(text)": "",
  "coupon.write_users(bigint[],text[],text,text)": "",
};

test("who may call which function", async () => {
  const rights = owner`
    select f.signature, concat(
      case when has_function_privilege('coupon_api', f.oid, 'execute') then 'a' end,
      case when has_function_privilege('coupon_admin', f.oid, 'execute') then 'd' end,
      case when has_function_privilege('coupon_monitor', f.oid, 'execute') then 'm' end)
    from (${ourFunctions}) f`;
  assert.deepEqual(Object.fromEntries((await rows(rights)) as [string, string][]), RIGHTS);
});

test("PUBLIC may call, read, use and change nothing of ours", async () => {
  await none(owner`
    select f.signature from (${ourFunctions}) f join pg_proc p on p.oid = f.oid
    cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0`);
  await none(owner`
    select c.relname from pg_class c
    cross join lateral aclexplode(coalesce(c.relacl, acldefault(
      case c.relkind when 'S' then 'S' else 'r' end::"char", c.relowner))) a
    where c.relnamespace = 'coupon'::regnamespace and c.relkind in ('r', 'S', 'v', 'm') and a.grantee = 0`);
  await none(owner`
    select a.privilege_type from pg_namespace n
    cross join lateral aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
    where n.nspname = 'coupon' and a.grantee = 0`);
  await none(owner`
    select t.typname from pg_type t
    cross join lateral aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) a
    where t.typnamespace in ('public'::regnamespace, 'coupon'::regnamespace) and t.typtype = 'e' and a.grantee = 0`);
});

test("whoever calls a function in psql may keep its answer in a table of their own", async () => {
  const calls = await rows(owner`
    select format('public.%I(%s)', p.proname, (
      select string_agg(format('null::%s', a.type::regtype), ', ' order by a.place)
      from unnest(p.proargtypes::oid[]) with ordinality a (type, place)))
    from pg_proc p
    where p.pronamespace = 'public'::regnamespace and has_function_privilege('coupon_admin', p.oid, 'execute')`);
  assert.ok(calls.length > 60);
  for (const [call] of calls)
    await admin.begin((sql) =>
      sql.unsafe(`create temp table kept on commit drop as select * from ${call} with no data`),
    );
});

test("coupon_api has no right on any table, sequence or on schema coupon, and none that others could use", async () => {
  await none(owner`
    select c.relname from pg_class c
    where c.relnamespace = 'coupon'::regnamespace and (
      c.relkind in ('r', 'v', 'm') and
        has_table_privilege('coupon_api', c.oid, 'select, insert, update, delete, truncate, references, trigger')
      or c.relkind in ('r', 'v', 'm') and has_any_column_privilege('coupon_api', c.oid, 'select, insert, update')
      or c.relkind = 'S' and has_sequence_privilege('coupon_api', c.oid, 'select, usage, update'))`);
  await none(owner`select 1 where has_schema_privilege('coupon_api', 'coupon', 'usage, create')`);
  await none(owner`select 1 where has_schema_privilege('coupon_api', 'public', 'create')`);
  await none(owner`
    select m.roleid::regrole from pg_auth_members m where m.member = 'coupon_api'::regrole`);
});

test("coupon_monitor and coupon_admin read all tables but the secrets, and change none by hand, but for what is on its way", async () => {
  await none(owner`
    select r.role, c.relname
    from pg_class c cross join (values ('coupon_monitor'), ('coupon_admin')) r (role)
    where c.relnamespace = 'coupon'::regnamespace and (
      c.relkind = 'r' and has_table_privilege(r.role, c.oid, 'select') = (c.relname in ('claim_secrets', 'webhook_secrets'))
      or c.relname in ('claim_secrets', 'webhook_secrets') and has_any_column_privilege(r.role, c.oid, 'select')
      or c.relkind = 'r' and
        has_table_privilege(r.role, c.oid, 'insert, update, delete, truncate, references, trigger')
      or c.relkind = 'r' and has_any_column_privilege(r.role, c.oid, 'insert, update, references')
        and (r.role, c.relname) <> ('coupon_admin', 'incoming_users')
      or c.relkind = 'S' and has_sequence_privilege(r.role, c.oid, 'select, usage, update'))`);
  const columns = owner`
    select p.grantee, p.privilege_type, array_agg(a.attname::text order by a.attnum)
    from pg_attribute a cross join lateral (
      select x.grantee::regrole::text, x.privilege_type from aclexplode(a.attacl) x) p
    where a.attrelid = 'coupon.incoming_users'::regclass
    group by 1, 2`;
  assert.deepEqual(await rows(columns), [["coupon_admin", "INSERT", ["user_id", "display_name"]]]);
});

test("nobody but coupon_owner may make anything in schema coupon", () =>
  none(owner`
    select r.role from (values ('coupon_api'), ('coupon_admin'), ('coupon_monitor')) r (role)
    where has_schema_privilege(r.role, 'coupon', 'create')`));

test("the roles: who logs in, and that none can do more than it is here for", async () => {
  const roles = owner`
    select r.rolname, r.rolcanlogin, r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls
    from pg_roles r
    where r.rolname in ('coupon_owner', 'coupon_api', 'coupon_admin', 'coupon_monitor') order by 1`;
  assert.deepEqual(await rows(roles), [
    ["coupon_admin", true, false],
    ["coupon_api", true, false],
    ["coupon_monitor", false, false],
    ["coupon_owner", false, false],
  ]);
});

test("everything in schema coupon belongs to coupon_owner", () =>
  none(owner`
    select c.relname from pg_class c
    where c.relnamespace = 'coupon'::regnamespace and c.relowner <> 'coupon_owner'::regrole`));

test("the server's sessions are bounded", async () => {
  const settings = await value(owner`
    select array(select unnest(r.rolconfig) order by 1) from pg_roles r where r.rolname = 'coupon_api'`);
  assert.deepEqual(settings, [
    "default_transaction_isolation=read committed",
    "idle_in_transaction_session_timeout=5s",
    "idle_session_timeout=0",
    "jit=off",
    "lock_timeout=2s",
    "statement_timeout=5s",
    ...((await value(owner`select current_setting('transaction_timeout', true)`)) === null
      ? []
      : ["transaction_timeout=0"]),
  ]);
  assert.equal(new URL(apiUrl).username, "coupon_api");
});

test("every foreign key says what a delete and an update of its parent do, and has an index", async () => {
  const keys = owner`
    select k.conname, k.confdeltype::text, k.confupdtype::text from pg_constraint k
    where k.contype = 'f' and k.connamespace = 'coupon'::regnamespace order by k.conname`;
  // r: restrict, c: cascade. An 'a' would be what one gets for saying nothing.
  assert.deepEqual(await rows(keys), [
    ["coupons_in_service_time_zone", "r", "c"],
    ["demand_coupon", "c", "c"],
    ["group_members_user", "c", "r"],
    ["leases_coupon", "c", "c"],
    ["subjects_user", "c", "r"],
    ["webhook_deliveries_webhook", "c", "r"],
    ["webhook_secrets_webhook", "c", "r"],
  ]);
  // The key's first column leads an index, but where the parents are one row.
  const bare = owner`
    select k.conname from pg_constraint k
    where k.contype = 'f' and k.connamespace = 'coupon'::regnamespace and not exists (
      select from pg_index i where i.indrelid = k.conrelid and i.indkey[0] = any (k.conkey))
    order by k.conname`;
  assert.deepEqual((await rows(bare)).flat(), ["coupons_in_service_time_zone"]);
});

test("constraints and triggers, by name", async () => {
  const names = owner`
    select c.relname, array_agg(n.name order by n.name)
    from (
      select conrelid, conname::text from pg_constraint where contype <> 'n'
      union select tgrelid, tgname::text from pg_trigger where not tgisinternal
      union select indrelid, indexrelid::regclass::text from pg_index
        where indisunique and indexrelid not in (select conindid from pg_constraint)
    ) n (oid, name)
    join pg_class c using (oid)
    where c.relnamespace = 'coupon'::regnamespace and c.relname <> 'schema_migrations'
    group by c.relname order by c.relname`;
  assert.deepEqual(await rows(names), [
    [
      "audit",
      [
        "audit_actor_fits",
        "audit_is_permanent",
        "audit_is_permanent_truncate",
        "audit_is_permanent_update",
        "audit_pkey",
        "audit_reason_fits",
        "audit_tells_a_use_once",
        "audit_tells_what_is",
        "audit_undo_has_reason",
        "audit_undo_is_done",
      ],
    ],
    [
      "claim_secrets",
      [
        "claim_secrets_are_fixed",
        "claim_secrets_are_permanent",
        "claim_secrets_are_permanent_truncate",
        "claim_secrets_id_from_1",
        "claim_secrets_key_has_32_bytes",
        "claim_secrets_key_until_retired",
        "claim_secrets_pkey",
        "coupon.claim_secrets_two_at_once",
      ],
    ],
    [
      "coupons",
      [
        "coupon.coupons_code_is_unique",
        "coupons_add_lease",
        "coupons_are_permanent_once_issued",
        "coupons_are_permanent_once_issued_id",
        "coupons_are_permanent_once_issued_truncate",
        "coupons_carry_expiry",
        "coupons_code_is_fixed_once_issued",
        "coupons_code_is_plain",
        "coupons_count_fits",
        "coupons_day_is_decided",
        "coupons_day_is_decided_anew",
        "coupons_day_is_open",
        "coupons_day_is_open_anew",
        "coupons_description_fits",
        "coupons_eligible_from_before_start",
        "coupons_eligible_group_has_start",
        "coupons_eligible_group_is_plain",
        "coupons_expiry_after_start",
        "coupons_expiry_is_a_date",
        "coupons_group_is_fixed_once_issued",
        "coupons_in_service_time_zone",
        "coupons_issued_equals_grants",
        "coupons_issued_never_falls",
        "coupons_issued_within_count",
        "coupons_message_fits",
        "coupons_metadata_fits",
        "coupons_metadata_is_object",
        "coupons_metadata_is_shallow",
        "coupons_one_per_count",
        "coupons_one_per_slot",
        "coupons_one_per_start_time",
        "coupons_outlive_leases",
        "coupons_pkey",
        "coupons_slot_is_1_to_3",
        "coupons_sold_out_at_is_kept",
        "coupons_sold_out_at_is_told",
        "coupons_start_time_is_a_date",
        "coupons_start_time_is_fixed_once_issued",
        "coupons_time_sell_out",
      ],
    ],
    ["demand", ["demand_coupon", "demand_only_grows", "demand_pkey", "demand_second_is_whole"]],
    ["demand_senders", ["demand_senders_pkey"]],
    [
      "events",
      [
        "coupon.events_tell_a_grant_once",
        "events_are_of_one_kind",
        "events_are_permanent",
        "events_are_permanent_truncate",
        "events_pkey",
        "events_positions_rise",
        "events_tell_a_change_once",
      ],
    ],
    ["folded", ["folded_has_one_row", "folded_pkey"]],
    ["forgotten_subjects", ["forgotten_subjects_digest_has_32_bytes", "forgotten_subjects_pkey"]],
    [
      "forgotten_users",
      [
        "forgotten_users_are_gone",
        "forgotten_users_pkey",
        "forgotten_users_stay",
        "forgotten_users_stay_truncate",
      ],
    ],
    ["gathered", ["gathered_has_one_row", "gathered_pkey"]],
    ["group_members", ["group_members_group_name_is_plain", "group_members_pkey", "group_members_user"]],
    ["issuing", ["issuing_is_empty"]],
    [
      "keys",
      [
        "keys_are_only_revoked",
        "keys_have_a_name_or_are_revoked",
        "keys_id_fits",
        "keys_name_fits",
        "keys_pkey",
        "keys_scope_is_known",
        "keys_stay",
        "keys_stay_truncate",
      ],
    ],
    ["leases", ["leases_coupon", "leases_pkey", "leases_run_out", "leases_run_out_truncate"]],
    ["past_grants", ["past_grants_pkey"]],
    [
      "plan",
      [
        "coupon.plan_one_per_code",
        "plan_code_fits",
        "plan_code_is_plain",
        "plan_code_names_its_day",
        "plan_count_fits",
        "plan_description_fits",
        "plan_expiry_after_start",
        "plan_expiry_days_fit",
        "plan_message_fits",
        "plan_metadata_fits",
        "plan_metadata_is_object",
        "plan_metadata_is_shallow",
        "plan_one_per_count",
        "plan_one_per_start",
        "plan_pkey",
        "plan_slot_is_1_to_3",
        "plan_times_are_of_a_day",
        "plan_weekday_is_1_to_7",
      ],
    ],
    ["planned", ["planned_pkey"]],
    [
      "retired_coupons",
      [
        "retired_coupons_are_gone",
        "retired_coupons_are_over",
        "retired_coupons_grants_left_within_issued",
        "retired_coupons_pkey",
        "retired_coupons_stay",
        "retired_coupons_stay_delete",
        "retired_coupons_stay_truncate",
      ],
    ],
    [
      "retired_grants",
      [
        "retired_grants_pkey",
        "retired_grants_stay",
        "retired_grants_stay_delete",
        "retired_grants_stay_truncate",
        "retired_grants_used_within_issued",
      ],
    ],
    [
      "settings",
      [
        "settings_has_one_row",
        "settings_pkey",
        "settings_time_zone_is_known",
        "settings_time_zone_is_unique",
      ],
    ],
    [
      "subjects",
      [
        "subjects_issuer_fits",
        "subjects_one_per_user_and_issuer",
        "subjects_pkey",
        "subjects_subject_fits",
        "subjects_user",
      ],
    ],
    ["use_counts", ["use_counts_pkey"]],
    [
      "user_coupons",
      [
        "coupon.user_coupons_one_per_position",
        "user_coupons_check_new_grants",
        "user_coupons_check_use",
        "user_coupons_count_use",
        "user_coupons_coupon_and_expiry",
        "user_coupons_grant_is_immutable",
        "user_coupons_grant_is_permanent",
        "user_coupons_grant_is_permanent_truncate",
        "user_coupons_issued_before_expiry",
        "user_coupons_one_per_user_and_day",
        "user_coupons_pkey",
        "user_coupons_position_from_1",
        "user_coupons_use_has_reference",
        "user_coupons_use_reference_fits",
        "user_coupons_used_after_issued",
        "user_coupons_used_before_expiry",
      ],
    ],
    [
      "users",
      [
        "users_are_permanent",
        "users_are_permanent_id",
        "users_are_permanent_truncate",
        "users_display_name_fits",
        "users_id_is_json_safe",
        "users_pkey",
        "users_stay_forgotten",
      ],
    ],
    [
      "webhook_deliveries",
      [
        "coupon.webhook_deliveries_one_waits",
        "webhook_deliveries_attempts_count",
        "webhook_deliveries_last_error_fits",
        "webhook_deliveries_pkey",
        "webhook_deliveries_wait_or_are_dead",
        "webhook_deliveries_webhook",
      ],
    ],
    [
      "webhook_secrets",
      [
        "coupon.webhook_secrets_one_before",
        "coupon.webhook_secrets_one_newest",
        "webhook_secrets_key_fits",
        "webhook_secrets_pkey",
        "webhook_secrets_webhook",
      ],
    ],
    ["webhook_sender", ["webhook_sender_has_one_row", "webhook_sender_pkey"]],
    [
      "webhooks",
      [
        "webhooks_disabled_for_a_reason",
        "webhooks_last_error_fits",
        "webhooks_pkey",
        "webhooks_url_fits",
        "webhooks_url_is_http",
        "webhooks_webhook_name_is_plain",
      ],
    ],
  ]);
});

test("no guard is switched off", () =>
  none(owner`
    select t.tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid
    where c.relnamespace = 'coupon'::regnamespace and t.tgenabled <> 'O'
    union all
    select k.conname from pg_constraint k
    where k.connamespace = 'coupon'::regnamespace and not k.convalidated`));

test("keys of user_coupons that must be unique contain user_id, but for the position's", async () => {
  const others = owner`
    select i.indexrelid::regclass::text from pg_index i
    where i.indrelid = 'coupon.user_coupons'::regclass and i.indisunique and not (
      (select a.attnum from pg_attribute a where a.attrelid = i.indrelid and a.attname = 'user_id') = any (i.indkey))`;
  assert.deepEqual((await rows(others)).flat(), ["coupon.user_coupons_one_per_position"]);
});

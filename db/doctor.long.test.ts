/** The doctor as it is asked in production: what only a superuser can do to a database, each found. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { cleanUp } from "../bench/harness/cleanup.ts";
import { options, startDebian } from "../bench/harness/debian.ts";
import { connect } from "./connect.ts";
import { examine } from "./doctor.ts";
import { pendingOf } from "./pending.ts";
import { setUp } from "./setup.ts";

after(cleanUp);

test("as a superuser: what coupon_owner can't do, on a server of its own", options, async (t) => {
  const { target: superuser, stop } = await startDebian();
  t.after(stop);
  const root = connect(superuser);
  t.after(() => root.end());
  await root`create role shop login createrole password 'secret'`;
  await root`create role stranger`;
  await root`
    create database shop owner shop encoding 'UTF8' locale_provider icu icu_locale 'en' locale 'C.UTF-8' template template0`;
  const [{ collation } = {}] = await root`
    select pg_database_collation_actual_version(oid) as collation from pg_database where datname = 'shop'`;
  const shop = superuser.withLogin("shop", "secret").on("shop");
  await setUp(shop);
  const session = connect(superuser.on("shop"));
  t.after(() => session.end());
  /** Debian's server runs with fsync off here, and the doctor says so each time that it says anything of settings. */
  const told = async (as = shop) => {
    const found = (await examine(as)).map(({ what }) => what);
    return found.filter((what) => what !== "setting fsync is off, should be on").sort();
  };
  assert.deepEqual(
    (await examine(shop)).map(({ what }) => what),
    ["setting fsync is off, should be on"],
  );

  const triggers = await session`
    select tgname from pg_trigger where tgrelid = 'coupon.user_coupons'::regclass and not tgisinternal`;
  const cases: [done: string, undo: string, ...said: string[]][] = [
    [
      "alter role coupon_api superuser",
      "alter role coupon_api nosuperuser",
      "role coupon_api: superuser is on, should be off",
    ],
    [
      "alter role coupon_admin bypassrls replication createdb",
      "alter role coupon_admin nobypassrls noreplication nocreatedb",
      "role coupon_admin: bypassrls is on, should be off",
      "role coupon_admin: createdb is on, should be off",
      "role coupon_admin: replication is on, should be off",
    ],
    [
      "grant coupon_owner to stranger",
      "revoke coupon_owner from stranger",
      "role stranger is a member of coupon_owner and may do everything, should not be",
    ],
    [
      "grant set on parameter session_replication_role, synchronous_commit to coupon_api, public",
      "revoke set on parameter session_replication_role, synchronous_commit from coupon_api, public",
      ...["session_replication_role", "synchronous_commit"].flatMap((name) =>
        ["coupon_api", "public"].map(
          (role) => `parameter ${name}: right set of ${role} is given, should be none`,
        ),
      ),
    ],
    [
      "grant alter system on parameter fsync to coupon_admin",
      "revoke alter system on parameter fsync from coupon_admin",
      "parameter fsync: right alter system of coupon_admin is given, should be none",
    ],
    [
      "create function public.alike(public.wallet_state, public.wallet_state) returns boolean language sql immutable return true; create operator public.= (leftarg = public.wallet_state, rightarg = public.wallet_state, function = public.alike)",
      "drop operator public.= (public.wallet_state, public.wallet_state); drop function public.alike",
      "operator public.=(public.wallet_state,public.wallet_state) is not of this release",
    ],
    [
      "create operator class public.theirs default for type public.wallet_state using btree as operator 3 pg_catalog.=(anyenum, anyenum), function 1 pg_catalog.enum_cmp(anyenum, anyenum)",
      "drop operator family public.theirs using btree",
      "operator class public.theirs USING btree is not of this release",
    ],
    [
      "create cast (money as text) with inout as implicit",
      "drop cast (money as text)",
      "cast (pg_catalog.money AS pg_catalog.text) is not of this release",
    ],
    [
      "alter database shop owner to coupon_api",
      "alter database shop owner to shop",
      "database shop: owner is coupon_api, should be none of our roles",
    ],
    [
      "alter role coupon_api connection limit 0",
      "alter role coupon_api connection limit -1",
      "role coupon_api: connection limit is 0, should be none or at least 1",
    ],
    [
      "alter role coupon_api set session_replication_role = replica",
      "alter role coupon_api reset session_replication_role",
      "role coupon_api: setting session_replication_role is replica, should be none",
    ],
    [
      "alter role coupon_admin in database shop set plpgsql.variable_conflict = use_column",
      "alter role coupon_admin in database shop reset plpgsql.variable_conflict",
      "role coupon_admin: setting plpgsql.variable_conflict in database shop is use_column, should be none",
    ],
    [
      "revoke connect on database shop from public, coupon_api",
      "grant connect on database shop to public, coupon_api",
      "role coupon_api may not connect to the database, should be allowed to",
    ],
    [
      "alter table coupon.users owner to stranger",
      "alter table coupon.users owner to coupon_owner",
      "table coupon.users: owner is stranger, should be coupon_owner",
    ],
    [
      "alter function public.wallet(bigint, date, integer) owner to stranger",
      "alter function public.wallet(bigint, date, integer) owner to coupon_owner",
      "function public.wallet(bigint,date,integer): owner is stranger, should be coupon_owner",
    ],
    [
      "alter type public.wallet_state owner to stranger",
      "alter type public.wallet_state owner to coupon_owner",
      "type public.wallet_state: owner is stranger, should be coupon_owner",
    ],
    [
      "alter schema coupon owner to stranger",
      "alter schema coupon owner to coupon_owner",
      "schema coupon: owner is stranger, should be coupon_owner; before that nothing else can be compared",
    ],
    [
      "create function public.issue_coupon(a integer, b integer) returns integer language sql return 1",
      "drop function public.issue_coupon(integer, integer)",
      "function public.issue_coupon(integer,integer) is not of this release",
    ],
    [
      "create function public.theirs() returns integer language sql return 1; create table public.theirs (id serial primary key)",
      "drop function public.theirs(); drop table public.theirs",
    ],
    [
      "alter table coupon.user_coupons disable trigger all",
      "alter table coupon.user_coupons enable trigger all",
      ...triggers.map(
        ({ tgname: name }) => `trigger ${name} on coupon.user_coupons: state is disabled, should be enabled`,
      ),
    ],
    [
      "update pg_index set indisvalid = false where indexrelid = 'coupon.audit_by_time'::regclass",
      "update pg_index set indisvalid = true where indexrelid = 'coupon.audit_by_time'::regclass",
      "index coupon.audit_by_time on coupon.audit: state of its index is invalid, should be valid",
    ],
    [
      "create function public.noop() returns event_trigger language plpgsql as 'begin end'; create event trigger theirs on ddl_command_end execute function public.noop()",
      "drop event trigger theirs; drop function public.noop()",
      "event trigger theirs at ddl_command_end is not of this release",
    ],
    [
      "create function public.refuse() returns event_trigger language plpgsql as 'begin raise exception ''no change today''; end'; create event trigger theirs on ddl_command_start execute function public.refuse()",
      "drop event trigger theirs; drop function public.refuse()",
      "event trigger theirs at ddl_command_start is not of this release",
      "nothing else can be compared: no change today",
    ],
    [
      "alter database shop set track_activities = off",
      "alter database shop reset track_activities",
      "setting track_activities is off, should be on",
    ],
    [
      "alter role all set session_replication_role = replica",
      "alter role all reset session_replication_role",
      "setting session_replication_role is replica, should be origin",
    ],
    [
      "alter role shop set synchronous_commit = off",
      "alter role shop reset synchronous_commit",
      "setting synchronous_commit is off, should be on",
    ],
    [
      "update pg_database set datcollversion = '2.28' where datname = 'shop'",
      "alter database shop refresh collation version",
      `database shop: its indexes are of collation version 2.28, this system has ${collation}`,
    ],
    [
      "create extension pg_trgm schema coupon",
      "drop extension pg_trgm",
      "extension pg_trgm is not of this release",
    ],
    [
      "revoke execute on function pg_sleep(double precision) from public; revoke select on pg_locks from public",
      "grant execute on function pg_sleep(double precision) to public; grant select on pg_locks to public",
      "function pg_sleep(double precision): right execute of coupon_owner is none, should be given",
      "table pg_locks: right select of coupon_owner is none, should be given",
    ],
    [
      "revoke usage on language plpgsql from public",
      "grant usage on language plpgsql to public",
      "role coupon_owner may not use language plpgsql, should be allowed to",
      "nothing else can be compared: sql/roles.sql: permission denied for language plpgsql",
    ],
    [
      "create publication everything for all tables",
      "drop publication everything",
      "publication everything sends tables of ours, is not of this release",
    ],
    [
      "create subscription theirs connection 'host=127.0.0.1' publication p with (connect = false)",
      "alter subscription theirs set (slot_name = none); drop subscription theirs",
      "subscription theirs may write tables of ours past their triggers, is not of this release",
    ],
    [
      "select setval('coupon.coupons_id_seq', 70); select setval('coupon.audit_id_seq', 1, false)",
      "select 1",
    ],
    [
      "alter table coupon.audit disable trigger user; insert into coupon.audit (id, command) overriding system value values (7, 'use_coupon'); alter table coupon.audit enable trigger user",
      "select setval('coupon.audit_id_seq', 7)",
      "sequence coupon.audit_id_seq gives 1 next, and coupon.audit has rows up to 7",
    ],
    [
      "alter table coupon.coupons owner to stranger",
      "alter table coupon.coupons owner to coupon_owner",
      "table coupon.coupons: owner is stranger, should be coupon_owner",
      "sequence coupon.coupons_id_seq: owner is stranger, should be coupon_owner",
    ],
    [
      "revoke usage on schema coupon from coupon_owner",
      "grant usage on schema coupon to coupon_owner",
      "schema coupon: right usage of its owner is none, should be given",
    ],
    [
      "revoke select on coupon.schema_migrations from coupon_owner",
      "grant select on coupon.schema_migrations to coupon_owner",
      "table coupon.schema_migrations: right select of its owner is none, should be given",
    ],
    [
      "delete from coupon.schema_migrations where version = '20261128000008'",
      "insert into coupon.schema_migrations values ('20261128000008')",
      "migration 20261128000008_incoming_users.sql is not applied",
    ],
    [
      "insert into coupon.schema_migrations values ('29990101000000')",
      "delete from coupon.schema_migrations where version = '29990101000000'",
      "migration 29990101000000 is of another release",
    ],
  ];
  for (const [done, undo, ...said] of cases)
    await t.test(done, async () => {
      await session.unsafe(`set allow_system_table_mods = on; ${done}`).simple();
      try {
        assert.deepEqual(await told(), said.toSorted());
      } finally {
        await session.unsafe(undo).simple();
      }
    });
  const tables = await session`
    select c.relname, case c.relkind when 'S' then 'sequence' else 'table' end as word
    from pg_class c
    where c.relnamespace = 'coupon'::regnamespace and c.relkind in ('r', 'S')
    order by 2, 1`;
  const strange = tables.map(
    ({ relname, word }) => `${word} coupon.${relname}: owner is stranger, should be coupon_owner`,
  );
  const of = (...names: string[]) =>
    strange.filter((what) => names.some((name) => what.includes(` coupon.${name}:`)));
  const first = "schema_migrations";
  for (const [title, names, said] of [
    // Where numbers of coupons that are gone stand.
    ["the audit", ["audit"], of("audit", "audit_id_seq")],
    [first, [first], of(first).map((what) => `${what}; before that nothing else can be compared`)],
    [
      "all others",
      tables
        .filter(({ relname, word }) => word === "table" && relname !== first)
        .map(({ relname }) => relname),
      strange.filter((what) => !of(first).includes(what)),
    ],
  ] as [string, string[], string[]][])
    await t.test(`tables that somebody else owns: ${title}`, async () => {
      for (const name of names) await session.unsafe(`alter table coupon.${name} owner to stranger`);
      const found = (await examine(shop)).filter(({ what }) => what !== "setting fsync is off, should be on");
      assert.deepEqual(found.map(({ what }) => what).sort(), said.toSorted());
      for (const { what, todo } of found) if (what.startsWith("table")) await session.unsafe(todo);
      assert.deepEqual(await told(), []);
    });
  for (const [done, object, is, todo] of [
    [
      "alter schema coupon rename to coupon2",
      "schema coupon",
      "coupon2",
      "alter schema coupon2 rename to coupon",
    ],
    [
      'alter schema coupon rename to "It\'s"; create schema coupon authorization coupon_owner',
      "schema coupon",
      '"It\'s"',
      'alter schema coupon rename to coupon_aside; alter schema "It\'s" rename to coupon',
    ],
    [
      "alter schema public rename to before; create schema public authorization pg_database_owner",
      "schema public",
      "before",
      "alter schema public rename to public_aside; alter schema before rename to public",
    ],
    [
      "alter schema public rename to before",
      "schema public",
      "before",
      "alter schema before rename to public",
    ],
  ] as const)
    await t.test(done, async () => {
      await session.unsafe(done).simple();
      assert.deepEqual(await examine(shop), [{ what: `${object} is called ${is}`, todo }]);
      const message = `${object} is called ${is}, and set-up would make an empty one beside it: run '${todo}' first`;
      await assert.rejects(setUp(shop), { message });
      await assert.rejects(pendingOf(shop), { message });
      await session.unsafe(todo).simple();
      await session.unsafe("drop schema if exists coupon_aside, public_aside");
      assert.deepEqual(await told(), []);
    });
  // The passwords that shop gave are no fault of another login's.
  assert.deepEqual([await told(superuser.on("shop")), await told()], [[], []]);
  await session`alter role coupon_api password null`;
  assert.deepEqual(await told(), ["role coupon_api can't log in with the password of this DATABASE_URL"]);
  await setUp(shop);
  assert.deepEqual(await told(), []);
});

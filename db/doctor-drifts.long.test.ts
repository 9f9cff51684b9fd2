/** Everything that somebody may have changed by hand: found, and mended by what the doctor says. */
import { test } from "node:test";
import { openDrifts } from "../bench/harness/drifts.ts";

const { trials } = await openDrifts();

const LIMIT = "coupons_issued_within_count on coupon.coupons";
const GUARD = "trigger user_coupons_check_new_grants on coupon.user_coupons";

for (const { name, run } of trials({
  "more of each kind": [
    [
      "alter table coupon.coupons alter constraint coupons_in_service_time_zone deferrable initially deferred",
      "constraint coupons_in_service_time_zone on coupon.coupons: definition differs",
    ],
    [
      `alter table coupon.coupons drop constraint coupons_in_service_time_zone,
        add constraint coupons_in_service_time_zone foreign key (time_zone) references coupon.settings (time_zone) on update cascade on delete cascade`,
      "constraint coupons_in_service_time_zone on coupon.coupons: definition differs",
    ],
    [
      "alter function public.wallet(bigint, date, integer) rename to purse",
      "function public.wallet(bigint,date,integer) is missing",
      "function public.purse(bigint,date,integer) is not of this release",
    ],
    [
      "alter function public.wallet(bigint, date, integer) set schema coupon",
      "function public.wallet(bigint,date,integer) is missing",
      "function coupon.wallet(bigint,date,integer) is not of this release",
    ],
    [
      "alter type public.coupon_offer add attribute x integer",
      "function coupon.describe_coupon(coupon.coupons,timestamp with time zone,bigint): text differs",
      "type public.coupon_offer: attributes differs",
    ],
    ["create domain coupon.code as text", "type coupon.code is not of this release"],
    ["create sequence coupon.mine", "sequence coupon.mine is not of this release"],
    ["create collation coupon.mine (locale = 'C')", "collation coupon.mine is not of this release"],
    [
      "create materialized view coupon.seen as select id from coupon.users",
      "materialized view coupon.seen is not of this release",
    ],
    [
      "create procedure public.mine() language sql begin atomic select 1; end",
      "procedure public.mine() is not of this release",
    ],
    [
      "alter function public.wallet(bigint, date, integer) cost 1",
      "function public.wallet(bigint,date,integer): cost is 1, should be 100",
    ],
    [
      "alter function public.wallet(bigint, date, integer) rows 1",
      "function public.wallet(bigint,date,integer): rows is 1, should be 1000",
    ],
    [
      "alter function public.wallet(bigint, date, integer) parallel safe",
      "function public.wallet(bigint,date,integer): parallel is safe, should be unsafe",
    ],
    [
      "revoke execute on function public.wallet(bigint, date, integer) from coupon_owner",
      "function public.wallet(bigint,date,integer): right execute of its owner is none, should be given",
    ],
    [
      "alter index coupon.audit_by_time set (fillfactor = 10)",
      "index coupon.audit_by_time on coupon.audit: index is CREATE INDEX audit_by_time ON coupon.audit USING btree (at, id) WITH (fillfactor='10'), should be CREATE INDEX audit_by_time ON coupon.audit USING btree (at, id)",
    ],
    [
      "alter index coupon.audit_by_time rename to x",
      "index coupon.audit_by_time on coupon.audit is missing",
      "index coupon.x on coupon.audit is not of this release",
    ],
    [
      "alter table coupon.audit replica identity using index audit_pkey",
      "table coupon.audit: replica identity is an index, should be default",
    ],
    [
      "alter table coupon.users set (toast.autovacuum_enabled = off)",
      "table coupon.users: option toast.autovacuum_enabled is off, should be none",
    ],
    [
      "reset role; alter default privileges in schema coupon grant select on tables to public",
      "default rights on tables in schema coupon of LOGIN: right select of public is given, should be none",
    ],
    [
      "reset role; revoke usage on schema public from public, coupon_api, coupon_admin, coupon_monitor",
      "schema public: right usage of coupon_api is none, should be given",
      "schema public: right usage of coupon_admin is none, should be given",
      "schema public: right usage of coupon_monitor is none, should be given",
    ],
    ["reset role; alter role coupon_owner createdb", "role coupon_owner: createdb is on, should be off"],
  ],
  renamed: [
    ["alter table coupon.audit set schema public", "table coupon.audit is called public.audit"],
    [
      "alter table coupon.audit rename to audits; alter table coupon.audits rename at to since; alter table coupon.audits rename actor to by",
      "table coupon.audit is called coupon.audits",
      "column coupon.audit.at is called since",
      "column coupon.audit.actor is called by",
    ],
    [
      "alter table coupon.users rename display_name to name",
      "column coupon.users.display_name is called name",
    ],
    ["alter table coupon.coupons rename expiry to ends", "column coupon.coupons.expiry is called ends"],
    ["alter sequence coupon.audit_id_seq rename to ids", "sequence coupon.audit_id_seq is called coupon.ids"],
    [
      "alter type public.wallet_state rename to wallet_states",
      "type public.wallet_state is called public.wallet_states",
    ],
    [
      "alter table coupon.users rename display_name to name; alter table coupon.users alter name type varchar(200)",
      "column coupon.users.display_name is missing",
      "column coupon.users.name is not of this release",
      "constraint users_display_name_fits on coupon.users: definition is CHECK (((length((name)::text) >= 1) AND (length((name)::text) <= 200))), should be CHECK (((length(display_name) >= 1) AND (length(display_name) <= 200)))",
    ],
  ],
  constraints: [
    [
      "alter table coupon.coupons drop constraint coupons_in_service_time_zone",
      "constraint coupons_in_service_time_zone on coupon.coupons is missing",
    ],
    [
      "alter table coupon.user_coupons drop constraint user_coupons_pkey",
      "constraint user_coupons_pkey on coupon.user_coupons is missing",
    ],
    [
      `alter table coupon.coupons drop constraint coupons_issued_within_count,
        add constraint coupons_issued_within_count check (issued between 0 and count) not valid`,
      `constraint ${LIMIT}: rows from before it is not checked, should be checked`,
    ],
    [
      `alter table coupon.coupons drop constraint coupons_issued_within_count,
        add constraint coupons_issued_within_count check (issued between 0 and count + 1)`,
      `constraint ${LIMIT}: definition is CHECK (((issued >= 0) AND (issued <= (count + 1)))), should be CHECK (((issued >= 0) AND (issued <= count)))`,
    ],
    [
      "alter table coupon.coupons rename constraint coupons_issued_within_count to x",
      `constraint ${LIMIT} is missing`,
      "constraint x on coupon.coupons is not of this release",
    ],
    [
      `alter table coupon.coupons drop constraint coupons_one_per_slot,
        add constraint coupons_one_per_slot unique (live_on, slot)`,
      "constraint coupons_one_per_slot on coupon.coupons: definition is UNIQUE (live_on, slot), should be UNIQUE (live_on, slot) DEFERRABLE",
      "constraint coupons_one_per_slot on coupon.coupons: comment differs",
    ],
    [
      "comment on constraint coupons_issued_within_count on coupon.coupons is 'x'",
      `constraint ${LIMIT}: comment is x, should be `,
    ],
    [
      "alter table coupon.coupons add constraint coupons_are_few check (id < 100)",
      "constraint coupons_are_few on coupon.coupons is not of this release",
    ],
  ],
  triggers: [
    [
      "alter table coupon.user_coupons disable trigger user_coupons_check_new_grants",
      `${GUARD}: state is disabled, should be enabled`,
    ],
    [
      "alter table coupon.user_coupons enable replica trigger user_coupons_check_new_grants",
      `${GUARD}: state is enabled on a replica only, should be enabled`,
    ],
    [
      "alter table coupon.user_coupons enable always trigger user_coupons_check_new_grants",
      `${GUARD}: state is enabled always, should be enabled`,
    ],
    [
      `drop trigger coupons_issued_never_falls on coupon.coupons;
        create trigger coupons_issued_never_falls before update on coupon.coupons for each row when (new.issued < 0)
        execute function coupon.refuse_change('coupons_issued_never_falls', 'what was issued stays issued')`,
      "trigger coupons_issued_never_falls on coupon.coupons: definition differs",
    ],
    [
      `drop trigger coupons_issued_equals_grants on coupon.coupons;
        create constraint trigger coupons_issued_equals_grants after insert or update of id, issued on coupon.coupons
        not deferrable for each row execute function coupon.check_issued_equals_grants()`,
      "trigger coupons_issued_equals_grants on coupon.coupons: definition differs",
    ],
    [
      "create trigger mine before insert on coupon.users for each row execute function coupon.refuse_change('a', 'b')",
      "trigger mine on coupon.users is not of this release",
    ],
    [
      "create rule quietly as on delete to coupon.audit do instead nothing",
      "rule quietly on coupon.audit is not of this release",
    ],
  ],
  indexes: [
    [
      "drop index coupon.coupons_code_is_unique; create index coupons_code_is_unique on coupon.coupons (lower(code))",
      "index coupon.coupons_code_is_unique on coupon.coupons: index is CREATE INDEX coupons_code_is_unique ON coupon.coupons USING btree (lower(code)), should be CREATE UNIQUE INDEX coupons_code_is_unique ON coupon.coupons USING btree (lower(code))",
    ],
    [
      `drop index coupon.coupons_code_is_unique;
        create unique index coupons_code_is_unique on coupon.coupons (lower(code) collate "ucs_basic")`,
      "index coupon.coupons_code_is_unique on coupon.coupons: index differs",
    ],
    [
      "comment on index coupon.audit_by_time is 'x'",
      "index coupon.audit_by_time on coupon.audit: comment is x, should be ",
    ],
    [
      "alter index coupon.audit_with_reason alter column 1 set statistics -1",
      "index coupon.audit_with_reason on coupon.audit: not sampled is none, should be words_of",
    ],
    [
      "create index mine on coupon.user_coupons (user_id)",
      "index coupon.mine on coupon.user_coupons is not of this release",
    ],
  ],
  columns: [
    [
      "alter table coupon.user_coupons alter column issued_at drop not null",
      "column coupon.user_coupons.issued_at: null is allowed, should be refused",
    ],
    [
      "alter table coupon.coupons alter column paused drop default",
      "column coupon.coupons.paused: default is none, should be false",
    ],
    [
      "alter table coupon.coupons alter column paused set default true",
      "column coupon.coupons.paused: default is true, should be false",
    ],
    [
      "alter table coupon.coupons alter column message set default 'x'",
      "column coupon.coupons.message: default is 'x'::text, should be none",
    ],
    [
      "alter table coupon.user_coupons alter column is_used drop expression",
      "column coupon.user_coupons.is_used: generated is none, should be ((used_date IS NOT NULL)) stored",
    ],
    [
      "alter table coupon.audit alter column id set generated by default",
      "column coupon.audit.id: ids by hand is taken, should be refused",
    ],
    [
      "alter table coupon.audit alter column id drop identity",
      "column coupon.audit.id: identity is none, should be there",
      "column coupon.audit.id: ids by hand is none, should be refused",
      "sequence coupon.audit_id_seq is missing",
    ],
    [
      `alter table coupon.audit alter column actor type text collate "ucs_basic"`,
      'column coupon.audit.actor: collation is ucs_basic, should be "default"',
    ],
    ["alter table coupon.users add column email text", "column coupon.users.email is not of this release"],
    [
      "alter table coupon.coupons alter column metadata set storage plain",
      "column coupon.coupons.metadata: storage is plain, should be extended",
    ],
    [
      "alter table coupon.users alter column display_name set compression pglz",
      "column coupon.users.display_name: compression is pglz, should be none",
    ],
    [
      "alter table coupon.user_coupons alter column coupon_id set (n_distinct = 1)",
      "column coupon.user_coupons.coupon_id: option n_distinct is 1, should be none",
    ],
    [
      "alter table coupon.users alter column display_name set statistics -1",
      "column coupon.users.display_name: sampling is on, should be off",
    ],
    [
      "alter table coupon.user_coupons alter column coupon_id set statistics 0",
      "column coupon.user_coupons.coupon_id: sampling is off, should be on",
    ],
    ["alter table coupon.user_coupons alter column coupon_id set statistics 1000"],
    [
      "alter table coupon.audit drop column reason",
      "column coupon.audit.reason is missing",
      "constraint audit_reason_fits on coupon.audit is missing",
      "constraint audit_undo_has_reason on coupon.audit is missing",
      "index coupon.audit_with_reason on coupon.audit is missing",
    ],
  ],
  tables: [
    [
      "alter table coupon.users enable row level security",
      "table coupon.users: row security is enabled, should be disabled",
    ],
    [
      "alter table coupon.users force row level security",
      "table coupon.users: row security for its owner is forced, should be not forced",
    ],
    [
      "create policy mine on coupon.users using (false)",
      "policy mine on coupon.users is not of this release",
    ],
    [
      "alter table coupon.coupons reset (fillfactor)",
      "table coupon.coupons: option fillfactor is none, should be 50",
    ],
    [
      "alter table coupon.user_coupons set (autovacuum_enabled = off)",
      "table coupon.user_coupons: option autovacuum_enabled is off, should be none",
    ],
    ["alter table coupon.user_coupons set (autovacuum_vacuum_scale_factor = 0.01)"],
    [
      "alter table coupon.users replica identity full",
      "table coupon.users: replica identity is full, should be default",
    ],
    ["create table coupon.spare (id integer primary key)", "table coupon.spare is not of this release"],
    [
      "create table public.heirs () inherits (coupon.users)",
      "table coupon.users: child public.heirs is there, should be none",
      "table public.heirs is not of this release",
    ],
    ["create view coupon.seen as select id from coupon.users", "view coupon.seen is not of this release"],
    [
      "create statistics coupon.mine on coupon_id, user_id from coupon.user_coupons",
      "statistics object coupon.mine is not of this release",
    ],
    ["drop table coupon.leases", "table coupon.leases is missing"],
  ],
  sequences: [
    [
      "alter table coupon.coupons alter column id set cache 20",
      "sequence coupon.coupons_id_seq: cache is 20, should be 1",
    ],
    [
      "alter table coupon.coupons alter column id set increment 2",
      "sequence coupon.coupons_id_seq: increment is 2, should be 1",
    ],
    [
      "alter table coupon.coupons alter column id set maxvalue 1000",
      "sequence coupon.coupons_id_seq: maximum is 1000, should be 9223372036854775807",
    ],
  ],
  types: [
    [
      "alter type public.wallet_state rename value 'used' to 'gone'",
      "type public.wallet_state: values is issued, gone, expired, should be issued, used, expired",
    ],
    ["create type coupon.mine as enum ('a')", "type coupon.mine is not of this release"],
    ["create type coupon.span as range (subtype = integer)", "type coupon.span is not of this release"],
    [
      "revoke usage on type public.wallet_state from coupon_owner",
      "type public.wallet_state: right usage of its owner is none, should be given",
    ],
  ],
  functions: [
    [
      "alter function public.wallet(bigint, date, integer) reset jit",
      "function public.wallet(bigint,date,integer): setting jit is none, should be off",
    ],
    [
      "alter function public.wallet(bigint, date, integer) reset search_path",
      "function public.wallet(bigint,date,integer): setting search_path is none, should be pg_catalog, pg_temp",
    ],
    [
      "alter function public.wallet(bigint, date, integer) set search_path = public",
      "function public.wallet(bigint,date,integer): setting search_path is public, should be pg_catalog, pg_temp",
    ],
    [
      "alter function public.wallet(bigint, date, integer) set work_mem = '1MB'",
      "function public.wallet(bigint,date,integer): setting work_mem is 1MB, should be none",
    ],
    [
      "alter function public.wallet(bigint, date, integer) security invoker",
      "function public.wallet(bigint,date,integer): security is invoker, should be definer",
    ],
    [
      "alter function public.wallet(bigint, date, integer) stable",
      "function public.wallet(bigint,date,integer): volatility is stable, should be volatile",
    ],
    [
      "alter function public.wallet(bigint, date, integer) strict",
      "function public.wallet(bigint,date,integer): of a null is strict, should be called on null input",
    ],
    ["drop function public.reconcile()", "function public.reconcile() is missing"],
    [
      "create function public.issue_coupon(a integer, b integer) returns integer language sql return 1",
      "function public.issue_coupon(integer,integer) is not of this release",
    ],
    [
      "create function coupon.mine() returns integer language sql return 1",
      "function coupon.mine() is not of this release",
    ],
    [
      "create aggregate coupon.mine(integer) (sfunc = int4pl, stype = integer)",
      "aggregate coupon.mine(integer) is not of this release",
    ],
    [
      "create or replace function coupon.check_use() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$ begin return new; end $$",
      "function coupon.check_use(): text differs",
    ],
    [
      "alter function coupon.check_issued_equals_grants() security invoker",
      "function coupon.check_issued_equals_grants(): security is invoker, should be definer",
    ],
    [
      "comment on function public.wallet(bigint, date, integer) is 'x'",
      "function public.wallet(bigint,date,integer): comment differs",
    ],
  ],
  rights: [
    [
      "revoke execute on function public.issue_coupon(bigint, bigint) from coupon_api",
      "function public.issue_coupon(bigint,bigint): right execute of coupon_api is none, should be given",
    ],
    [
      "grant execute on function public.wallet(bigint, date, integer) to coupon_api with grant option",
      "function public.wallet(bigint,date,integer): right to grant execute of coupon_api is given, should be none",
    ],
    [
      "grant select on coupon.users to coupon_api",
      "table coupon.users: right select of coupon_api is given, should be none",
    ],
    [
      "grant update (display_name) on coupon.users to coupon_admin",
      "column coupon.users.display_name: right update of coupon_admin is given, should be none",
    ],
    [
      "revoke insert (user_id) on coupon.incoming_users from coupon_admin",
      "column coupon.incoming_users.user_id: right insert of coupon_admin is none, should be given",
    ],
    [
      "revoke insert on coupon.user_coupons from coupon_owner",
      "table coupon.user_coupons: right insert of its owner is none, should be given",
    ],
    [
      "grant usage on sequence coupon.coupons_id_seq to coupon_monitor",
      "sequence coupon.coupons_id_seq: right usage of coupon_monitor is given, should be none",
    ],
    [
      "grant create on schema coupon to coupon_api",
      "schema coupon: right create of coupon_api is given, should be none",
    ],
    [
      "revoke usage on schema coupon from coupon_monitor",
      "schema coupon: right usage of coupon_monitor is none, should be given",
    ],
    [
      "reset role; grant create on schema public to public",
      "schema public: right create of public is given, should be none",
    ],
    [
      "alter default privileges grant execute on functions to public",
      "default rights on functions of coupon_owner: right execute of public is given, should be none",
    ],
    [
      "alter default privileges grant select on tables to coupon_api",
      "default rights on tables of coupon_owner: right select of coupon_api is given, should be none",
    ],
    [
      "alter default privileges in schema coupon grant select on tables to public",
      "default rights on tables in schema coupon of coupon_owner: right select of public is given, should be none",
    ],
  ],
  roles: [
    [
      "reset role; alter role coupon_api set statement_timeout = 0",
      "role coupon_api: setting statement_timeout is 0, should be 5s",
    ],
    [
      "reset role; alter role coupon_api set synchronous_commit = off",
      "role coupon_api: setting synchronous_commit is off, should be none",
    ],
    [
      "reset role; alter role coupon_admin in database DATABASE set search_path = coupon",
      "role coupon_admin: setting search_path in database DATABASE is coupon, should be none",
    ],
    [
      "reset role; alter role coupon_api in database DATABASE set default_transaction_isolation = 'serializable'",
      "role coupon_api: setting default_transaction_isolation in database DATABASE is serializable, should be none",
    ],
    [
      "reset role; comment on role coupon_owner is null",
      "role coupon_owner: comment doesn't name the login whose passwords coupon_api and coupon_admin have",
    ],
    ["reset role; alter role coupon_owner login", "role coupon_owner: login is on, should be off"],
    ["reset role; alter role coupon_api nologin", "role coupon_api: login is off, should be on"],
    ["reset role; alter role coupon_api createrole", "role coupon_api: createrole is on, should be off"],
    ["reset role; alter role coupon_api noinherit", "role coupon_api: inherit is off, should be on"],
    [
      "reset role; alter role coupon_api connection limit 19",
      "role coupon_api: connection limit is 19, should be none or at least 20",
    ],
    ["reset role; alter role coupon_api connection limit 20; alter role coupon_admin connection limit 1"],
    [
      "reset role; alter role coupon_admin connection limit 0",
      "role coupon_admin: connection limit is 0, should be none or at least 1",
    ],
    [
      "reset role; alter role coupon_api valid until '2020-01-01Z'",
      "role coupon_api: its password ends at 2020-01-01 00:00:00+00, should not end",
    ],
    [
      "reset role; grant coupon_owner to coupon_api",
      "role coupon_api is a member of coupon_owner, should not be",
    ],
    [
      "reset role; revoke coupon_monitor from coupon_admin",
      "role coupon_admin lacks the rights of coupon_monitor",
    ],
    [
      "reset role; grant coupon_monitor to coupon_admin with admin option",
      "role coupon_admin may make others members of coupon_monitor, should not",
    ],
    [
      "reset role; revoke create on database DATABASE from coupon_owner",
      "role coupon_owner may not create in the database, should be allowed to",
    ],
  ],
  surroundings: [
    ["reset role; alter database DATABASE connection limit 20"],
    [
      "reset role; grant create on database DATABASE to coupon_api, coupon_monitor",
      "database DATABASE: right create of coupon_api is given, should be none",
      "database DATABASE: right create of coupon_monitor is given, should be none",
    ],
    [
      "reset role; grant create on database DATABASE to public",
      "database DATABASE: right create of public is given, should be none",
    ],
    [
      "reset role; grant create on database DATABASE to coupon_owner with grant option",
      "database DATABASE: right to grant create of coupon_owner is given, should be none",
    ],
    [
      "create cast (public.wallet_state as public.use_coupon_outcome) with inout as implicit",
      "cast (public.wallet_state AS public.use_coupon_outcome) is not of this release",
    ],
    [
      "create cast (text as public.wallet_state) with inout as implicit",
      "cast (pg_catalog.text AS public.wallet_state) is not of this release",
    ],
    [
      "create schema theirs; create function theirs.leak() returns setof coupon.users language sql security definer begin atomic select * from coupon.users; end; create view theirs.seen as select id from coupon.users",
      "function theirs.leak() has the rights of coupon_owner, is not of this release",
      "view theirs.seen has the rights of coupon_owner, is not of this release",
    ],
    [
      "reset role; create schema theirs; create table theirs.orders (coupon_id bigint references coupon.coupons)",
      "constraint orders_coupon_id_fkey on theirs.orders refers to coupon.coupons, is not of this release",
    ],
    [
      "reset role; create publication mine for table coupon.users",
      "publication mine sends tables of ours, is not of this release",
    ],
    [
      "reset role; alter database DATABASE set default_transaction_isolation = 'serializable'",
      "setting default_transaction_isolation is serializable, should be read committed",
    ],
    [
      "reset role; alter database DATABASE is_template true",
      "database DATABASE: is_template is on, should be off: whoever may create databases may copy it",
    ],
    [
      "reset role; alter database DATABASE set synchronous_commit = false; alter database DATABASE set enable_nestloop = 0",
      "setting synchronous_commit is off, should be on",
      "setting enable_nestloop is off, should be on",
    ],
    [
      "reset role; alter database DATABASE set row_security = yes; alter database DATABASE set default_transaction_isolation = 'READ COMMITTED'",
    ],
    [
      "reset role; alter database DATABASE set enable_indexscan = off; alter database DATABASE set enable_partitionwise_join = on",
      "setting enable_indexscan is off, should be on",
    ],
    [
      "reset role; alter database DATABASE set synchronous_commit = off",
      "setting synchronous_commit is off, should be on",
    ],
    [
      "reset role; alter database DATABASE set role = 'coupon_monitor'",
      "setting role is coupon_monitor, should be none",
    ],
    ["reset role; alter database DATABASE set role = 'nobody'"],
    [
      "reset role; alter database DATABASE set exit_on_error = yes; alter database DATABASE set client_min_messages = ERROR",
      "setting client_min_messages is error, should be warning",
      "setting exit_on_error is on, should be off",
    ],
    ["reset role; alter database DATABASE set client_min_messages = debug1"],
  ],
}))
  test(name, run);

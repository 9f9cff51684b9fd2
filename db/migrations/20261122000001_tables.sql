-- migrate:up

-- Tables live here, functions that callers use live in public. dbmate keeps its own table in this schema too and may
-- have made it already.
create schema if not exists coupon;
comment on schema coupon is
  'State of the coupon service. Callers never touch it: they call the functions in schema public (\df public.*).';

-- Nothing that the owner makes later is executable by everyone. Only the global form of this statement has an effect.
alter default privileges revoke execute on functions from public;
alter default privileges revoke usage on types from public;

create table coupon.settings (
  only_row boolean primary key default true,
  time_zone text not null default 'UTC',
  constraint settings_has_one_row check (only_row),
  constraint settings_time_zone_is_known check ((timestamptz 'epoch' at time zone time_zone) is not null),
  constraint settings_time_zone_is_unique unique (time_zone)
);
comment on table coupon.settings is
  'What holds for the whole service; exactly one row.';
comment on column coupon.settings.time_zone is
  'The zone in which a calendar day begins and ends (IANA name, default UTC): it decides users'' daily limit and on
which day a coupon is on offer. Change it with set_time_zone().';
insert into coupon.settings default values;

create table coupon.users (
  id bigint primary key,
  display_name text not null,
  constraint users_id_is_json_safe check (id between 1 and 9007199254740991),
  constraint users_display_name_fits check (length(display_name) between 1 and 200)
);
comment on table coupon.users is
  'Who may hold coupons. Filled by import_users(); ids come from outside.';
comment on column coupon.users.id is
  'user_id everywhere else. At most 2^53 - 1, the largest integer that every JSON reader keeps exact.';

create table coupon.coupons (
  id bigint generated always as identity primary key,
  code text not null,
  message text not null,
  description text not null,
  start_time timestamptz not null,
  expiry timestamptz not null,
  time_zone text not null,
  live_on date not null generated always as ((start_time at time zone time_zone)::date) stored,
  slot smallint not null,
  count integer not null,
  issued integer not null default 0,
  paused boolean not null default false,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default clock_timestamp(),
  constraint coupons_code_is_plain check (code ~ '^[A-Za-z0-9_-]{1,64}$'),
  constraint coupons_message_fits check (length(message) between 1 and 200),
  constraint coupons_description_fits check (length(description) <= 2000),
  constraint coupons_start_time_is_a_date check (start_time >= '1970-01-01Z' and start_time < '9999-12-31Z'),
  constraint coupons_expiry_is_a_date check (expiry < '9999-12-31Z'),
  constraint coupons_expiry_after_start check (expiry > start_time),
  constraint coupons_slot_is_1_to_3 check (slot between 1 and 3),
  constraint coupons_count_fits check (count between 1 and 100000000),
  constraint coupons_issued_within_count check (issued between 0 and count),
  constraint coupons_metadata_is_object check (jsonb_typeof(metadata) = 'object'),
  constraint coupons_metadata_fits check (length(metadata::text) <= 4096),
  constraint coupons_metadata_is_shallow check (
    not metadata @? 'strict $.**{5 to last} ? (@.type() == "object" || @.type() == "array")'),
  constraint coupons_one_per_slot unique (live_on, slot) deferrable,
  constraint coupons_one_per_start_time unique (live_on, start_time) deferrable,
  constraint coupons_one_per_count unique (live_on, count) deferrable,
  constraint coupons_id_and_expiry unique (id, expiry),
  constraint coupons_in_service_time_zone foreign key (time_zone) references coupon.settings (time_zone)
    on update cascade on delete restrict
) with (fillfactor = 50);
create unique index coupons_code_is_unique on coupon.coupons (lower(code));

comment on table coupon.coupons is
  'A coupon on offer: count units, first come first served, from start_time until expiry. Made by create_coupon().
Half of each page is kept free, so that the update of issued once a batch stays on the page and moves no index.';
comment on column coupon.coupons.code is
  'What a shop types in: letters, digits, - and _; unique whatever its case.';
comment on column coupon.coupons.time_zone is
  'coupon.settings.time_zone, repeated so that live_on can be derived by a constraint; follows it on change.';
comment on column coupon.coupons.live_on is
  'The calendar day of start_time in the service''s time zone; a day offers at most three coupons.';
comment on column coupon.coupons.slot is
  'Which of the three places of its day (1 to 3) the coupon takes.';
comment on column coupon.coupons.issued is
  'Units issued so far = rows in coupon.user_coupons = their highest position. Moved by issue_coupons() alone, one
update a batch; the constraint trigger coupons_issued_equals_grants compares it with the grants at commit.';
comment on column coupon.coupons.paused is
  'While true nothing is issued: pause_coupon(), resume_coupon().';
comment on column coupon.coupons.metadata is
  'A JSON object of the creator''s own, at most 4096 characters and 5 levels deep.';
comment on constraint coupons_one_per_slot on coupon.coupons is
  'Deferrable, like the other two of a day, so that it is judged at the end of a statement: another time zone may move
every coupon to the next day.';
comment on constraint coupons_id_and_expiry on coupon.coupons is
  'So that a grant''s foreign key can carry the expiry: user_coupons_coupon_and_expiry.';

create table coupon.user_coupons (
  user_id bigint not null,
  coupon_id bigint not null,
  issued_at timestamptz not null,
  expiry timestamptz not null,
  used_date timestamptz,
  issued_on date not null,
  position integer not null,
  is_used boolean not null generated always as (used_date is not null) stored,
  use_reference text,
  constraint user_coupons_pkey primary key (coupon_id, user_id),
  constraint user_coupons_one_per_user_and_day unique (issued_on, user_id),
  constraint user_coupons_position_from_1 check (position between 1 and 100000000),
  constraint user_coupons_issued_before_expiry check (issued_at < expiry),
  constraint user_coupons_used_before_expiry check (used_date < expiry),
  constraint user_coupons_used_after_issued check (used_date >= issued_at),
  constraint user_coupons_use_has_reference check ((used_date is null) = (use_reference is null)),
  constraint user_coupons_use_reference_fits check (length(use_reference) between 1 and 200),
  constraint user_coupons_coupon_and_expiry foreign key (coupon_id, expiry) references coupon.coupons (id, expiry)
    on update cascade on delete restrict
);
create unique index user_coupons_one_per_position on coupon.user_coupons ((coupon_id * 134217728 + position));

comment on table coupon.user_coupons is
  'A grant: this user holds this coupon. Written by issue_coupons() and use_coupon() only, never deleted. Keys are led
by coupon and by day, so that the inserts of a drop fall on neighbouring pages however many users there are.';
comment on index coupon.user_coupons_one_per_position is
  'Unique (coupon_id, position) as one number (position < 2^27 = 134217728). As two columns the planner, whose statistics
are always from before the drop, takes it for the way to a coupon''s users, and reads all its grants for each batch.';
comment on column coupon.user_coupons.issued_at is
  'The database clock when the batch held the lock.';
comment on column coupon.user_coupons.expiry is
  'The coupon''s expiry, kept equal by the foreign key, so that "used before expiry" is a check of this row.';
comment on column coupon.user_coupons.used_date is
  'The instant of use; null while unused.';
comment on column coupon.user_coupons.issued_on is
  'The calendar day of issued_at in the service''s time zone: a user gets one coupon a day.';
comment on column coupon.user_coupons.position is
  'Place in the queue, 1 to count without gaps: first come, first served.';
comment on column coupon.user_coupons.is_used is
  'Derived from used_date.';
comment on column coupon.user_coupons.use_reference is
  'The caller''s own id of the use (an order number); the same one again is answered as before.';

create type coupon.audited_command as enum
  ('create_coupon', 'use_coupon', 'undo_use', 'pause_coupon', 'resume_coupon', 'set_coupon_count',
    'set_coupon_expiry', 'set_time_zone', 'import_users');
comment on type coupon.audited_command is
  'The functions that write the audit: each command but issuing.';

create table coupon.audit (
  id bigint generated always as identity,
  at timestamptz not null default clock_timestamp(),
  login text not null default session_user,
  actor text,
  command coupon.audited_command not null,
  coupon_id bigint,
  user_id bigint,
  used_date timestamptz,
  old_values jsonb,
  new_values jsonb,
  reason text,
  constraint audit_pkey primary key (id),
  constraint audit_undo_has_reason check (command <> 'undo_use' or reason is not null),
  constraint audit_actor_fits check (length(actor) between 1 and 250),
  constraint audit_reason_fits check (length(reason) between 1 and 500),
  constraint audit_tells_a_use_once unique (user_id, coupon_id, used_date, command)
);
create index audit_by_time on coupon.audit (at, id);
create index audit_by_coupon on coupon.audit (coupon_id, at, id);

comment on table coupon.audit is
  'What was changed by whom, when and why: a row for each command but issuing that changed something, none for a replay.
Rows are only ever added; without one a use can''t be taken back. Read it with audit_trail().';
comment on column coupon.audit.at is
  'The database clock when it was done.';
comment on column coupon.audit.coupon_id is
  'The coupon it was done to. No foreign key: the audit outlives a coupon that is deleted.';
comment on column coupon.audit.user_id is
  'Whose use it was; null for all else.';
comment on column coupon.audit.used_date is
  'Which use: the grant''s used_date after use_coupon(), before undo_use().';
comment on column coupon.audit.login is
  'The database login that called: coupon_api is the server.';
comment on column coupon.audit.actor is
  'On whose behalf, as the caller said; the server says role:subject of the bearer token. Null from psql.';
comment on column coupon.audit.command is
  'The function that was called.';
comment on column coupon.audit.old_values is
  'What it was before, of that which changed.';
comment on column coupon.audit.new_values is
  'What it is after it. Of import_users(): how many it created and updated.';
comment on column coupon.audit.reason is
  'Why, as the caller said.';

-- migrate:down

-- The schema stays: dbmate's own table is in it.
drop table coupon.audit;
drop type coupon.audited_command;
drop table coupon.user_coupons;
drop table coupon.coupons;
drop table coupon.users;
drop table coupon.settings;
alter default privileges grant execute on functions to public;
alter default privileges grant usage on types to public;

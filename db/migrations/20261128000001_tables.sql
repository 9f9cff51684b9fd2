-- migrate:up

-- Schema coupon holds the tables and what only functions call; what callers call is in schema public. dbmate keeps its
-- own table here too, and may have made the schema already.
create schema if not exists coupon;
comment on schema coupon is
  'State of the coupon service. Callers never touch it: they call the functions in schema public (\df public.*).';

-- PUBLIC gets no right on what the owner makes later. Only this global form does that: PostgreSQL
-- adds the rights that a statement with "in schema" names to the global ones, so that form can't
-- take any away.
alter default privileges revoke execute on functions from public;
alter default privileges revoke usage on types from public;
-- Who keeps an answer in a table or a view of their own needs the types of its columns.
alter default privileges grant usage on types to coupon_monitor;

create table coupon.settings (
  only_row boolean primary key default true,
  time_zone text not null default 'UTC',
  constraint settings_has_one_row check (only_row),
  constraint settings_time_zone_is_known check (
    lower(time_zone collate "C") not in ('localtime', 'posixrules') and (timestamptz 'epoch' at time zone time_zone) is not null),
  constraint settings_time_zone_is_unique unique (time_zone)
);
comment on table coupon.settings is
  'What holds for the whole service; exactly one row.';
comment on constraint settings_time_zone_is_known on coupon.settings is
  'localtime and posixrules are another zone on another server, which a backup may be restored to.';
comment on column coupon.settings.time_zone is
  'The zone in which a calendar day begins and ends (IANA name, default UTC). It decides the users'' daily limit, and on
which day a coupon is on offer. Change it with set_time_zone().';
insert into coupon.settings default values;

create table coupon.users (
  id bigint primary key,
  display_name text not null,
  constraint users_id_is_json_safe check (id between 1 and 9007199254740991),
  constraint users_display_name_fits check (length(display_name) between 1 and 200)
);
-- What a person is called, or wrote, is never sampled for the planner, here and in other tables: pg_stats would tell it when the
-- person has been forgotten, and so would a dump with statistics.
alter table coupon.users alter column display_name set statistics 0;
comment on table coupon.users is
  'Who may hold coupons. Filled by import_users(); ids come from outside.';
comment on column coupon.users.id is
  'user_id everywhere else. At most 2^53 - 1, the largest integer that every JSON reader keeps exact.';

create table coupon.forgotten_users (
  user_id bigint primary key,
  forgotten_at timestamptz not null default clock_timestamp()
);
comment on table coupon.forgotten_users is
  'Whose name and words forget_user() removed: the number that their grants keep, and nothing else. No import makes such a
user again.';

create table coupon.group_members (
  group_name text collate "C",
  user_id bigint,
  constraint group_members_pkey primary key (group_name, user_id),
  constraint group_members_group_name_is_plain check (group_name ~ '^[A-Za-z0-9_-]{1,64}$'),
  constraint group_members_user foreign key (user_id) references coupon.users (id)
    on update restrict on delete cascade
);
create index group_members_by_user on coupon.group_members (user_id);
comment on table coupon.group_members is
  'Who is in which group. A coupon may start earlier for a group (coupons.eligible_group). Changed by add_to_group() and
remove_from_group(); who is forgotten is in none.';
comment on column coupon.group_members.group_name is
  'A group is its members: it is there as long as it has one. Letters, digits, - and _, as in a code; vip and VIP are two.';
comment on index coupon.group_members_by_user is
  'For forget_user().';

create table coupon.coupons (
  id bigint generated always as identity primary key,
  code text collate "C" not null,
  message text not null,
  description text not null,
  start_time timestamptz not null,
  eligible_group text collate "C",
  eligible_from timestamptz,
  expiry timestamptz not null,
  time_zone text not null,
  live_on date not null,
  slot smallint not null,
  count integer not null,
  issued integer not null default 0,
  sold_out_at timestamptz,
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
  constraint coupons_sold_out_at_is_told check ((sold_out_at is not null) = (issued = count)),
  constraint coupons_metadata_is_object check (jsonb_typeof(metadata) = 'object'),
  constraint coupons_metadata_fits check (length(metadata::text) <= 4096),
  constraint coupons_metadata_is_shallow check (
    not metadata @? 'strict $.**{5 to last} ? (@.type() == "object" || @.type() == "array")'),
  constraint coupons_one_per_slot unique (live_on, slot) deferrable,
  constraint coupons_one_per_start_time unique (start_time),
  constraint coupons_one_per_count unique (live_on, count) deferrable,
  constraint coupons_in_service_time_zone foreign key (time_zone) references coupon.settings (time_zone)
    on update cascade on delete restrict
) with (fillfactor = 50);
create unique index coupons_code_is_unique on coupon.coupons (lower(code));
create index coupons_by_expiry on coupon.coupons (expiry);

comment on table coupon.coupons is
  'A coupon on offer: count units, first come, first served, from start_time until expiry. Made by create_coupon().
Half of each page stays free: the update of issued, one a batch, then finds room on the same page and touches no index.';
comment on column coupon.coupons.code is
  'What a shop types in: letters, digits, - and _; unique whatever its case. collate "C": in a Turkish
database PIZZA and pizza would else be two codes, and the index would be another one elsewhere.';
comment on column coupon.coupons.eligible_group is
  'Whose members may have the coupon before start_time: coupon.group_members. Null: nobody. Set with set_coupon_group().';
comment on column coupon.coupons.eligible_from is
  'From when the members of eligible_group may have it; null without a group.';
comment on column coupon.coupons.time_zone is
  'The same as coupon.settings.time_zone, repeated here so that a grant and its guard read one row. The
foreign key keeps it equal.';
comment on column coupon.coupons.live_on is
  'The calendar day of start_time in the service''s time zone; a day offers at most three coupons. The
trigger coupons_day_is_decided sets it when the coupon is made, and when start_time or the zone is
set. Nothing else does: new rules for a zone (an update of tzdata) move no coupon. reconcile() names
those that would be of another day by now, and set_time_zone() moves them.';
comment on column coupon.coupons.slot is
  'Which of the three places of its day (1 to 3) the coupon takes.';
comment on column coupon.coupons.issued is
  'Units issued so far: the number of its rows in coupon.user_coupons, and their highest position. Only issue_coupons()
changes it, with one update a batch. At commit the constraint trigger coupons_issued_equals_grants compares it with the
grants.';
comment on column coupon.coupons.sold_out_at is
  'Since when nothing is left: the issued_at of the last grant, or the moment in which the count was set to what was
issued. Null while units are left; a restock sets it back to null. A pause does not touch it.';
comment on column coupon.coupons.paused is
  'While true nothing is issued: pause_coupon(), resume_coupon().';
comment on column coupon.coupons.metadata is
  'A JSON object of the creator''s own, at most 4096 characters and 5 levels deep.';
comment on index coupon.coupons_by_expiry is
  'For live_coupons(): after years nearly all coupons have ended.';
comment on constraint coupons_one_per_slot on coupon.coupons is
  'Deferrable, like coupons_one_per_count: set_time_zone() may move every coupon to the next day, and
there to another slot.';
comment on constraint coupons_one_per_start_time on coupon.coupons is
  'An instant is on one day only, so this is one start time a day, whatever the zone says.';

-- No "set search_path", unlike every other function: PostgreSQL inlines no function that has a
-- setting. The body is parsed here and now, so no path matters to it later.
create function coupon.position_key(coupon_id bigint, "position" integer)
returns bigint
language sql
immutable
parallel safe
return position_key.coupon_id * 134217728 + position_key.position;

comment on function coupon.position_key(bigint, integer) is
  'A coupon''s position as one number, coupon_id * 2^27 + position: the key of the index
user_coupons_one_per_position. A query that compares it uses the index, as PostgreSQL inlines the
function. Never change what it computes: the index would be wrong.';

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
  constraint user_coupons_use_reference_fits check (length(use_reference) between 1 and 200)
);
alter table coupon.user_coupons alter column use_reference set statistics 0;
create unique index user_coupons_one_per_position
  on coupon.user_coupons (coupon.position_key(coupon_id, position));

comment on table coupon.user_coupons is
  'A grant: this user holds this coupon. Only issue_coupons(), use_coupon(), undo_use(), set_coupon_expiry() and forget_user()
write it, and only retire_coupons() deletes rows. Its keys begin with the coupon or the day, so that the inserts of a drop
fall on neighbouring pages, however many users there are.';
comment on index coupon.user_coupons_one_per_position is
  'Unique (coupon_id, position), as one number on purpose. The planner''s statistics are always from before the drop: an
index on the two columns would look to it like the way to a coupon''s users, and each batch would read all grants of
its coupon.';
comment on column coupon.user_coupons.issued_at is
  'When it was issued: the database clock, read while the batch held the issuing lock.';
comment on column coupon.user_coupons.expiry is
  'The coupon''s expiry. Triggers keep it equal, and so "used before expiry" is a check of this row alone.';
comment on column coupon.user_coupons.used_date is
  'The instant of use; null while unused.';
comment on column coupon.user_coupons.issued_on is
  'The calendar day of issued_at in the service''s time zone: a user gets one coupon a day.';
comment on column coupon.user_coupons.position is
  'Place in the queue, 1 to count without gaps: first come, first served.';
comment on column coupon.user_coupons.is_used is
  'Derived from used_date.';
comment on column coupon.user_coupons.use_reference is
  'The caller''s own id of the use, an order number for example. The same one again gets the same answer.';

create table coupon.past_grants (
  user_id bigint,
  issued_on date,
  coupon_id bigint not null,
  constraint past_grants_pkey primary key (user_id, issued_on)
);
comment on table coupon.past_grants is
  'Which coupons a user got on days that are over, by user, so that wallet() need not look at each day. No key of
coupon.user_coupons begins with the user, since a drop would then write a random page for each grant. fold_grants() copies
grants to here, a month later; reconcile() compares them. Set coupon.folded back to its defaults, and wallet() reads the
grants alone until they are copied again.';

create table coupon.folded (
  only_row boolean primary key default true,
  issued_on date not null default '-infinity',
  user_id bigint not null default 0,
  swept_to bigint,
  constraint folded_has_one_row check (only_row)
);
comment on table coupon.folded is
  'Up to which grant wallet() reads coupon.past_grants, in order of issued_on and user_id: it has all grants up to this one.
Exactly one row.';
comment on column coupon.folded.swept_to is
  'Up to which user coupon.past_grants has no grant of a retired coupon any more; null where it has none at all. What is left
of them is in no wallet, since their coupons are gone.';
insert into coupon.folded default values;

create table coupon.use_counts (
  coupon_id bigint,
  shard integer,
  used integer not null,
  constraint use_counts_pkey primary key (coupon_id, shard)
) with (fillfactor = 50);
comment on table coupon.use_counts is
  'How many of a coupon''s grants are used, so that coupon_stats() need not count them. The trigger user_coupons_count_use
keeps it, whoever changes a grant; reconcile() compares it with the grants.';
comment on column coupon.use_counts.shard is
  'Any number. A use holds its row until it is committed, so each takes one that nobody holds: no use waits for another one.';
comment on column coupon.use_counts.used is
  'Uses less uses that were taken back. Only the sum of a coupon''s rows means something.';

-- Autovacuum would take a lock that issuing then waits for; there is nothing to vacuum.
create table coupon.issuing (
  nothing boolean,
  constraint issuing_is_empty check (false)
) with (autovacuum_enabled = false);
comment on table coupon.issuing is
  'Always empty. Its lock is the lock of issuing, taken by coupon.lock_issuing() in exclusive mode: that needs a right,
which an advisory lock does not.';
comment on column coupon.issuing.nothing is
  'There are no rows.';

-- migrate:down

-- The schema stays, since dbmate's own table is in it.
drop table coupon.use_counts;
drop table coupon.issuing;
drop table coupon.folded;
drop table coupon.past_grants;
drop table coupon.user_coupons;
drop function coupon.position_key(bigint, integer);
drop table coupon.coupons;
drop table coupon.group_members;
drop table coupon.forgotten_users;
drop table coupon.users;
drop table coupon.settings;
alter default privileges grant execute on functions to public;
alter default privileges revoke usage on types from coupon_monitor;
alter default privileges grant usage on types to public;

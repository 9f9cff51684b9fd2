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

create type coupon.audited_command as enum
  ('create_coupon', 'use_coupon', 'undo_use', 'pause_coupon', 'resume_coupon', 'set_coupon_count',
    'set_coupon_expiry', 'set_coupon_start', 'set_coupon_group', 'edit_coupon', 'withdraw_coupon', 'set_plan_entry', 'remove_plan_entry',
    'set_time_zone', 'import_users', 'add_to_group', 'remove_from_group', 'forget_user', 'rotate_claim_secret', 'retire_claim_secret',
    'retire_coupons', 'set_webhook', 'rotate_webhook_secret', 'enable_webhook', 'disable_webhook', 'remove_webhook', 'resend_webhook', 'record_key', 'revoke_key');
comment on type coupon.audited_command is
  'The functions that write the audit: all commands but issuing, since a grant is its own record. A use by claim code is a
use_coupon too, and one that is taken back an undo_use.';

-- The same rules as in coupon.take_out(): scripts without spaces between words, what a letter is, and which letters are one.
create function coupon.words_of(text text)
returns text[]
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array(
    select upper(lower(m.word[1] collate "und-x-icu"))
    from (values (
      '\u0E00-\u109F\u1100-\u11FF\u1780-\u17FF\u2E80-\u9FFF\uAC00-\uD7FF\uF900-\uFAFF\uFF66-\uFF9F\U00020000-\U0003FFFF'
    )) s (chars)
    cross join lateral regexp_matches(
      translate(words_of.text, 'Iİı', 'iii') collate "und-x-icu", '[' || s.chars || ']|[^\W' || s.chars || ']+', 'g') m (word));
end;

comment on function coupon.words_of(text) is
  'The words of a text in one case, and each character of a script that has no spaces between words: the keys of the index
audit_with_reason. Letters and cases are Unicode''s, whatever the database''s locale. A text in which coupon.take_out() finds a name
has all words of that name. Never change what it computes: the index would be wrong.';

create table coupon.audit (
  id bigint generated always as identity,
  at timestamptz not null default clock_timestamp(),
  login text not null default session_user,
  actor text,
  command coupon.audited_command not null,
  coupon_id bigint,
  user_id bigint,
  used_date timestamptz,
  issued integer,
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
create index audit_by_creation on coupon.audit using hash (new_values) where command = 'create_coupon';
create index audit_with_reason on coupon.audit using gin (coupon.words_of(reason)) with (fastupdate = off)
  where reason is not null;

comment on table coupon.audit is
  'Who changed what, when and why. Each command but issuing adds a row when it changed something, and none for a replay.
Rows are only added; forget_user() takes words out of them. A use can''t be taken back without one. Read it with
audit_trail().';
comment on index coupon.audit_by_creation is
  'For create_coupon(): which coupon was once made with these very arguments.';
comment on index coupon.audit_with_reason is
  'For forget_user(), which looks for a name in all reasons. What is added goes to its place at once, so that a look is never one
through a list of news.';
comment on column coupon.audit.at is
  'When it was done, by the database clock.';
comment on column coupon.audit.coupon_id is
  'The coupon that was changed; null where it is none. No foreign key: the audit is all that is left of a coupon that was withdrawn.';
comment on column coupon.audit.user_id is
  'Whose use it was, or who was forgotten. Null for all other commands.';
comment on column coupon.audit.used_date is
  'Which use: the used_date of the grant, after use_coupon() or before undo_use().';
comment on column coupon.audit.issued is
  'How many units of the coupon were issued when it was changed: it comes after the grant of that position in events(). Set by
the trigger audit_tells_what_is; null for a use, for what is no coupon, and for a coupon that is gone.';
comment on column coupon.audit.login is
  'The database login that called the function; coupon_api is the server.';
comment on column coupon.audit.actor is
  'On whose behalf, as the caller says. The server gives role:subject of the bearer token. Usually null from psql.';
comment on column coupon.audit.command is
  'The function that was called.';
comment on column coupon.audit.old_values is
  'The values before the change, of what changed; for withdraw_coupon() and of the plan all that there was.';
comment on column coupon.audit.new_values is
  'The values after the change. For import_users() how many users it created and updated, of a
group how many members were added or removed.';
comment on column coupon.audit.reason is
  'Why, as the caller says.';

create table coupon.claim_secrets (
  id integer,
  key bytea default sha256(
    uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
  created_at timestamptz not null default clock_timestamp(),
  retired_at timestamptz,
  constraint claim_secrets_pkey primary key (id),
  constraint claim_secrets_id_from_1 check (id >= 1),
  constraint claim_secrets_key_has_32_bytes check (length(key) = 32),
  constraint claim_secrets_key_until_retired check ((key is null) = (retired_at is not null))
);
create unique index claim_secrets_two_at_once on coupon.claim_secrets ((id % 2)) where key is not null;

comment on table coupon.claim_secrets is
  'What claim codes are made of and read by: claim_code(), find_claim(). Nobody but coupon_owner has a right on it. Who has a
key can make the code of every grant: so has who reads a dump that the owner made.';
comment on column coupon.claim_secrets.id is
  'Counts up; the newest makes the codes. A code tells whether its secret''s id is odd or even.';
comment on column coupon.claim_secrets.key is
  '32 random bytes, from the server''s strong random numbers; null once retired.';
comment on column coupon.claim_secrets.created_at is
  'From then on codes are made of it, until there is a newer one.';
comment on column coupon.claim_secrets.retired_at is
  'From then on its codes are not found; null before.';
comment on index coupon.claim_secrets_two_at_once is
  'Two are in use at most, the newest and the one before it, so a code is read by one of them only.';
insert into coupon.claim_secrets (id) values (1);

-- migrate:down

-- The schema stays, since dbmate's own table is in it.
drop table coupon.claim_secrets;
drop table coupon.audit;
drop function coupon.words_of(text);
drop type coupon.audited_command;
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
alter default privileges grant usage on types to public;

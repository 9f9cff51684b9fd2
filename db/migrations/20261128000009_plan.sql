-- migrate:up

-- The plan: which coupons each weekday offers. fill_days() makes the coupons of the days to come from it.

create table coupon.plan (
  weekday smallint,
  slot smallint,
  code_pattern text collate "C" not null,
  message text not null,
  description text not null,
  local_start time not null,
  local_expiry time not null,
  expiry_days smallint not null,
  count integer not null,
  metadata jsonb not null,
  constraint plan_pkey primary key (weekday, slot),
  constraint plan_weekday_is_1_to_7 check (weekday between 1 and 7),
  constraint plan_slot_is_1_to_3 check (slot between 1 and 3),
  constraint plan_code_is_plain check (code_pattern ~ '^([A-Za-z0-9_-]|\{(date|year|month|day|weekday|slot)\})+$'),
  constraint plan_code_names_its_day check (
    code_pattern ~ '\{date\}' or (code_pattern ~ '\{year\}' and code_pattern ~ '\{month\}' and code_pattern ~ '\{day\}')),
  constraint plan_code_fits check (
    length(replace(replace(replace(replace(replace(replace(code_pattern, '{date}', 'yyyymmdd'), '{year}', 'yyyy'),
      '{month}', 'mm'), '{day}', 'dd'), '{weekday}', 'www'), '{slot}', 's')) <= 64),
  constraint plan_message_fits check (length(message) between 1 and 200),
  constraint plan_description_fits check (length(description) <= 2000),
  constraint plan_times_are_of_a_day check (local_start < '24:00' and local_expiry < '24:00'),
  constraint plan_expiry_days_fit check (expiry_days between 0 and 365),
  constraint plan_expiry_after_start check (expiry_days > 0 or local_expiry > local_start),
  constraint plan_count_fits check (count between 1 and 100000000),
  constraint plan_metadata_is_object check (jsonb_typeof(metadata) = 'object'),
  constraint plan_metadata_fits check (length(metadata::text) <= 4096),
  constraint plan_metadata_is_shallow check (
    not metadata @? 'strict $.**{5 to last} ? (@.type() == "object" || @.type() == "array")'),
  constraint plan_one_per_start unique (weekday, local_start),
  constraint plan_one_per_count unique (weekday, count)
);
create unique index plan_one_per_code on coupon.plan (weekday, replace(lower(code_pattern), '{slot}', slot::text));

comment on table coupon.plan is
  'What each weekday offers: an entry is a coupon that fill_days() makes on every such day. Change it with set_plan_entry()
and remove_plan_entry(); a day that was filled stays as it is.';
comment on column coupon.plan.weekday is
  'ISO: 1 is Monday, 7 is Sunday.';
comment on column coupon.plan.slot is
  'Which of the three entries of its weekday (1 to 3). A coupon takes the first place of its day that is free, which may be another one.';
comment on column coupon.plan.code_pattern is
  'The coupon''s code, in which {date} stands for 20261130, {year} for 2026, {month} for 11, {day} for 30, {weekday} for MON and
{slot} for the slot. It names the whole day, since no code is given twice.';
comment on column coupon.plan.local_start is
  'When the coupon starts, by the clocks of the service''s time zone.';
comment on column coupon.plan.local_expiry is
  'When it expires, by the same clocks: expiry_days after the day of its start.';
comment on column coupon.plan.expiry_days is
  'Days from the day of the start to that of the expiry; 0: the same day.';

create table coupon.planned (
  day date,
  slot smallint,
  coupon_id bigint not null,
  constraint planned_pkey primary key (day, slot)
);
comment on table coupon.planned is
  'Which entries of the plan fill_days() has made, and as which coupons. What is here is not made again, whatever became of the
coupon since: it may be corrected, moved or withdrawn. To have it made again, delete its row; fill_days() wants a new reason to
make again what was withdrawn.';
comment on column coupon.planned.day is
  'The day that was filled. A coupon that was moved since may count for another day.';
comment on column coupon.planned.slot is
  'The slot of the entry in coupon.plan.';
comment on column coupon.planned.coupon_id is
  'No foreign key: a coupon that was withdrawn is gone.';

create type public.set_plan_entry_outcome as enum
  ('unchanged', 'code_taken', 'start_time_taken', 'count_taken', 'planned');
comment on type public.set_plan_entry_outcome is
  'unchanged: it is so already · code_taken, start_time_taken, count_taken: by another entry of that weekday · planned.';

create type public.remove_plan_entry_outcome as enum
  ('not_planned', 'removed');
comment on type public.remove_plan_entry_outcome is
  'not_planned: there is no such entry · removed: no coupon is made from it any more.';

create type public.fill_days_outcome as enum
  ('already_made', 'in_the_past', 'not_after_start', 'code_too_long', 'code_taken', 'start_time_taken', 'count_taken',
    'day_full', 'made');
comment on type public.fill_days_outcome is
  'already_made: whatever became of the coupon since · in_the_past: its start is not to come · not_after_start: its expiry, on
a day on which the clocks are changed · code_too_long: with the day at its end, of a copy · code_taken, start_time_taken,
count_taken, day_full: as create_coupon() says · made.';

create type public.planned_coupon as (
  outcome public.fill_days_outcome,
  day date,
  slot smallint,
  code text,
  message text,
  description text,
  start_time timestamptz,
  expiry timestamptz,
  count integer,
  metadata jsonb,
  coupon_id bigint,
  taken_by bigint,
  warning public.coupon_warning
);
comment on type public.planned_coupon is
  'A coupon that a day is to have, and what becomes of it: preview_days(), fill_days(), copy_day().';
comment on column public.planned_coupon.day is 'The day that it is for.';
comment on column public.planned_coupon.slot is 'Which entry of the plan it is; of a copy, the place of the coupon that it is a copy of.';
comment on column public.planned_coupon.code is 'Of one that is already made, this and what follows are as it is now; null if it was withdrawn.';
comment on column public.planned_coupon.coupon_id is 'The coupon that was made; null where there is none.';
comment on column public.planned_coupon.taken_by is 'The coupon that is in the way; null also if that one would be made by the same call.';

-- migrate:down

drop type public.planned_coupon;
drop type public.fill_days_outcome;
drop type public.remove_plan_entry_outcome;
drop type public.set_plan_entry_outcome;
drop table coupon.planned;
drop table coupon.plan;

-- Says what a weekday offers as one of its three coupons. unchanged · code_taken · start_time_taken · count_taken · planned.
-- Locks the settings' row: whoever fills days meanwhile does so before or after.
create or replace function public.set_plan_entry(
  weekday integer,
  slot integer,
  code_pattern text,
  message text,
  description text,
  local_start time,
  local_expiry time,
  count integer,
  expiry_days integer default 0,
  metadata jsonb default null,
  reason text default null,
  actor text default null
)
returns table (outcome public.set_plan_entry_outcome, taken_by_slot smallint, warning public.coupon_warning)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on -- else a backslash is read in another way
as $$
declare
  v_old coupon.plan;
  v_new coupon.plan;
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('weekday', set_plan_entry.weekday is null, 'must not be null'),
    ('slot', set_plan_entry.slot is null, 'must not be null'),
    ('code_pattern', set_plan_entry.code_pattern is null, 'must not be null'),
    ('message', set_plan_entry.message is null, 'must not be null'),
    ('description', set_plan_entry.description is null, 'must not be null'),
    ('local_start', set_plan_entry.local_start is null, 'must not be null'),
    ('local_expiry', set_plan_entry.local_expiry is null, 'must not be null'),
    ('count', set_plan_entry.count is null, 'must not be null'),
    ('expiry_days', set_plan_entry.expiry_days is null, 'must not be null'),
    ('weekday', set_plan_entry.weekday not between 1 and 7, 'must lie between 1 (Monday) and 7 (Sunday)'),
    ('slot', set_plan_entry.slot not between 1 and 3, 'must lie between 1 and 3'),
    ('code_pattern', set_plan_entry.code_pattern !~ '^([A-Za-z0-9_-]|\{(date|year|month|day|weekday|slot)\})+$',
      'must be of letters, digits, -, _, {date}, {year}, {month}, {day}, {weekday} and {slot}'),
    ('code_pattern', set_plan_entry.code_pattern !~ '\{date\}' and not (set_plan_entry.code_pattern ~ '\{year\}'
        and set_plan_entry.code_pattern ~ '\{month\}' and set_plan_entry.code_pattern ~ '\{day\}'),
      'must have {date}, or {year}, {month} and {day}: no code is given twice'),
    ('code_pattern', length(coupon.code_of(set_plan_entry.code_pattern, '2026-11-30', 1)) > 64,
      'must give a code of at most 64 characters'),
    ('local_start', set_plan_entry.local_start >= '24:00', 'must be before 24:00'),
    ('local_expiry', set_plan_entry.local_expiry >= '24:00', 'must be before 24:00: it is 00:00 of the next day'),
    ('expiry_days', set_plan_entry.expiry_days not between 0 and 365, 'must lie between 0 and 365'),
    ('local_expiry', set_plan_entry.expiry_days = 0 and set_plan_entry.local_expiry <= set_plan_entry.local_start,
      'must be after local_start, or expiry_days after that day'),
    ('count', set_plan_entry.count not between 1 and 100000000, 'must lie between 1 and 100000000')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.check_texts(null, set_plan_entry.message, set_plan_entry.description, set_plan_entry.metadata);
  perform coupon.check_reason_and_actor(set_plan_entry.reason, set_plan_entry.actor);

  perform from coupon.settings s for no key update;
  select p.* into v_old from coupon.plan p
  where p.weekday = set_plan_entry.weekday and p.slot = set_plan_entry.slot;
  -- Each by its name: a column that somebody dropped and added again is the last one of its table.
  v_new.weekday := set_plan_entry.weekday;
  v_new.slot := set_plan_entry.slot;
  v_new.code_pattern := set_plan_entry.code_pattern;
  v_new.message := set_plan_entry.message;
  v_new.description := set_plan_entry.description;
  v_new.local_start := set_plan_entry.local_start;
  v_new.local_expiry := set_plan_entry.local_expiry;
  v_new.expiry_days := set_plan_entry.expiry_days;
  v_new.count := set_plan_entry.count;
  v_new.metadata := coalesce(set_plan_entry.metadata, v_old.metadata, '{}');
  if v_old = v_new then
    outcome := 'unchanged';
    perform coupon.fence_replay();
    return next;
    return;
  end if;

  select o.obstacle, p.slot
  into outcome, taken_by_slot
  from coupon.plan p
  cross join lateral (values
    (1, replace(lower(p.code_pattern), '{slot}', p.slot::text)
        = replace(lower(v_new.code_pattern collate "C"), '{slot}', v_new.slot::text), 'code_taken'),
    (2, p.local_start = v_new.local_start, 'start_time_taken'),
    (3, p.count = v_new.count, 'count_taken')
  ) o (rank, is_so, obstacle)
  where p.weekday = v_new.weekday and p.slot <> v_new.slot and o.is_so
  order by o.rank
  limit 1;
  if outcome is null then
    outcome := 'planned';
    -- Of any day on which the clocks are not changed; of the others fill_days() says it.
    warning := case
      when coupon.is_short_lived((date '1970-01-01' + v_new.local_start) at time zone 'UTC',
        (date '1970-01-01' + v_new.expiry_days + v_new.local_expiry) at time zone 'UTC', '-infinity') then 'short_lived' end;
    delete from coupon.plan p where p.weekday = v_new.weekday and p.slot = v_new.slot;
    insert into coupon.plan select v_new.*;
    insert into coupon.audit (command, old_values, new_values, reason, actor)
    values ('set_plan_entry', case when v_old.weekday is not null then to_jsonb(v_old) end, to_jsonb(v_new),
      set_plan_entry.reason, set_plan_entry.actor);
  end if;
  return next;
end
$$;

comment on function public.set_plan_entry(
  integer, integer, text, text, text, time, time, integer, integer, jsonb, text, text) is
  'Says what a weekday (1 Monday to 7 Sunday) offers as coupon slot (1 to 3): from local_start until local_expiry, expiry_days
after the day of the start, both by the clocks of the service''s time zone. code_pattern is the code with {date} (20261130),
{year}, {month}, {day}, {weekday} (MON) or {slot} in it; it names the whole day. metadata that is null stays as it is. Outcomes
in order: unchanged, code_taken, start_time_taken and count_taken (by the entry taken_by_slot of that weekday), planned. warning
says what may be a mistake all the same: short_lived (its coupons can be had for less than a minute). It holds for days that are
not filled yet: fill_days(), preview_days(). A local time that the clocks skip is as much later as they are put forward; one that comes
twice is the second one. reason and actor (on whose behalf) go to the audit. Raises 22004 or 22023 for arguments that no entry
can have.';

-- Puts a coupon on offer. already_created · already_withdrawn · code_taken · in_the_past · start_time_taken · count_taken ·
-- day_full · created.
-- Locks the settings' row: one coupon is made at a time, so that slots are counted in peace.
create or replace function public.create_coupon(
  code text,
  message text,
  description text,
  start_time timestamptz,
  expiry timestamptz,
  count integer,
  metadata jsonb default '{}',
  reason text default null,
  actor text default null
)
returns table (
  outcome public.create_coupon_outcome,
  coupon_id bigint,
  live_on date,
  slot smallint,
  warning public.coupon_warning
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC' -- of the times in the audit
as $$
declare
  v_time_zone text;
  v_now timestamptz;
  v_place record;
  v_coupon coupon.coupons;
  v_asked jsonb := jsonb_build_object(
    'code', create_coupon.code, 'message', create_coupon.message, 'description', create_coupon.description,
    'start_time', create_coupon.start_time, 'expiry', create_coupon.expiry, 'count', create_coupon.count,
    'metadata', create_coupon.metadata);
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('code', create_coupon.code is null, 'must not be null'),
    ('message', create_coupon.message is null, 'must not be null'),
    ('description', create_coupon.description is null, 'must not be null'),
    ('start_time', create_coupon.start_time is null, 'must not be null'),
    ('expiry', create_coupon.expiry is null, 'must not be null'),
    ('count', create_coupon.count is null, 'must not be null'),
    ('metadata', create_coupon.metadata is null, 'must not be null'),
    ('start_time', not (create_coupon.start_time >= '1970-01-01Z' and create_coupon.start_time < '9999-12-31Z'),
      'must lie between 1970 and 9999'),
    ('expiry', not create_coupon.expiry < '9999-12-31Z', 'must lie before the end of 9999'),
    ('expiry', create_coupon.expiry <= create_coupon.start_time, 'must be after start_time'),
    ('count', create_coupon.count not between 1 and 100000000, 'must lie between 1 and 100000000')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.check_texts(create_coupon.code, create_coupon.message, create_coupon.description, create_coupon.metadata);
  perform coupon.check_reason_and_actor(create_coupon.reason, create_coupon.actor);

  select s.time_zone into v_time_zone from coupon.settings s for no key update;

  -- A retry asks for what was first asked, whatever became of it, its code too; the audit knows it. What was withdrawn is made
  -- again only for a reason that it was not made for yet: a retry has none, or the same.
  select case when c.id is null then 'already_withdrawn' else 'already_created' end, a.coupon_id, c.live_on, c.slot
  into outcome, coupon_id, live_on, slot
  from coupon.audit a
  left join coupon.coupons c on c.id = a.coupon_id
  where a.command = 'create_coupon' and a.new_values = v_asked
    and (c.id is not null or (create_coupon.reason is null or a.reason = create_coupon.reason) and exists (
      select from coupon.audit w where w.coupon_id = a.coupon_id and w.command = 'withdraw_coupon'))
  order by c.id, a.id desc
  limit 1;
  if not found then
    select
      case
        when v_asked = (select jsonb_object_agg(m.key, m.value) from jsonb_each(to_jsonb(c)) m where v_asked ? m.key)
        then 'already_created' else 'code_taken' end,
      c.id, c.live_on, c.slot
    into outcome, coupon_id, live_on, slot
    from coupon.coupons c
    where lower(c.code) = lower(create_coupon.code collate "C");
  end if;
  if outcome is not null then
    if outcome <> 'code_taken' then
      perform coupon.fence_replay();
    end if;
    return next;
    return;
  end if;

  v_now := clock_timestamp();
  select p.* into v_place from coupon.find_place(create_coupon.start_time, create_coupon.count) p;
  live_on := v_place.live_on;
  outcome := case
    when create_coupon.expiry <= v_now then 'in_the_past'
    else coalesce(v_place.obstacle, 'created') end;
  if outcome <> 'created' then
    coupon_id := case when outcome <> 'in_the_past' then v_place.taken_by end;
    return next;
    return;
  end if;

  insert into coupon.coupons as c
    (code, message, description, start_time, expiry, time_zone, slot, count, metadata)
  values (create_coupon.code, create_coupon.message, create_coupon.description, create_coupon.start_time,
    create_coupon.expiry, v_time_zone, v_place.slot, create_coupon.count, create_coupon.metadata)
  returning c.* into v_coupon;
  coupon_id := v_coupon.id;
  slot := v_coupon.slot;
  warning := case
    when coupon.is_short_lived(create_coupon.start_time, create_coupon.expiry, v_now) then 'short_lived'
    when create_coupon.start_time <= v_now then 'already_started' end;
  insert into coupon.audit (command, coupon_id, new_values, reason, actor)
  values ('create_coupon', v_coupon.id, v_asked, create_coupon.reason, create_coupon.actor);
  return next;
end
$$;

comment on function public.create_coupon(text, text, text, timestamptz, timestamptz, integer, jsonb, text, text) is
  'Puts a coupon on offer: count units from start_time until expiry. At most three a day (the day of start_time in the
service''s time zone), each with another code, start_time and count. Outcomes in order: already_created (the same
coupon: all members as it was created with, or as they are now), already_withdrawn (a coupon was created with these members,
and is withdrawn; give a reason that it was not created for yet to make another one), code_taken, in_the_past (it would have
expired), start_time_taken, count_taken, day_full, created. coupon_id is the new coupon, the one that was made, or the one
that is in the way. warning says what may be a mistake all the same: short_lived (to be had for less than a minute),
already_started (start_time is not to come, so it can be had at once). reason and actor (on whose behalf) go to the audit.
Raises 22004 or 22023 for arguments that no coupon can have.';

-- Moves a coupon that has not started to another start, on the same day or on another one. coupon_not_found · unchanged ·
-- already_started · in_the_past · not_after_eligible_from · not_before_expiry · start_time_taken · count_taken · day_full ·
-- changed.
-- Locks the settings' row (a day's coupons differ), then issuing.
create or replace function public.set_coupon_start(
  coupon_id bigint,
  start_time timestamptz,
  reason text default null,
  actor text default null
)
returns table (
  outcome public.set_coupon_start_outcome,
  live_on date,
  slot smallint,
  taken_by bigint,
  warning public.coupon_warning
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC' -- of the times in the audit
as $$
declare
  v_now timestamptz;
  v_coupon coupon.coupons;
  v_place record;
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('coupon_id', set_coupon_start.coupon_id is null, 'must not be null'),
    ('start_time', set_coupon_start.start_time is null, 'must not be null'),
    ('start_time', not (set_coupon_start.start_time >= '1970-01-01Z' and set_coupon_start.start_time < '9999-12-31Z'),
      'must lie between 1970 and 9999')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.check_reason_and_actor(set_coupon_start.reason, set_coupon_start.actor);

  perform coupon.outlive_leases(set_coupon_start.coupon_id);
  perform from coupon.settings s for no key update;
  v_coupon := coupon.lock_issuing(set_coupon_start.coupon_id);
  if v_coupon.id is null then
    outcome := 'coupon_not_found';
    return next;
    return;
  end if;

  -- After the waits: whoever was refused until here was refused rightly, by either start.
  v_now := clock_timestamp();
  select p.* into v_place
  from coupon.find_place(set_coupon_start.start_time, v_coupon.count, set_coupon_start.coupon_id) p;
  outcome := case
    when v_coupon.start_time = set_coupon_start.start_time then 'unchanged'
    when v_coupon.issued > 0 or coupon.first_start(v_coupon) <= v_now then 'already_started'
    when set_coupon_start.start_time <= v_now then 'in_the_past'
    when set_coupon_start.start_time <= v_coupon.eligible_from then 'not_after_eligible_from'
    when set_coupon_start.start_time >= v_coupon.expiry then 'not_before_expiry'
    else coalesce(v_place.obstacle, 'changed') end;
  if outcome = 'changed' then
    update coupon.coupons c set start_time = set_coupon_start.start_time, slot = v_place.slot
    where c.id = set_coupon_start.coupon_id;
    insert into coupon.audit (command, coupon_id, old_values, new_values, reason, actor)
    values ('set_coupon_start', set_coupon_start.coupon_id, jsonb_build_object('start_time', v_coupon.start_time),
      jsonb_build_object('start_time', set_coupon_start.start_time), set_coupon_start.reason, set_coupon_start.actor);
    v_coupon.live_on := v_place.live_on;
    v_coupon.slot := v_place.slot;
    warning := case
      when coupon.is_short_lived(set_coupon_start.start_time, v_coupon.expiry, v_now) then 'short_lived' end;
  elsif outcome = 'unchanged' then
    perform coupon.fence_replay();
  elsif outcome::text = v_place.obstacle then
    taken_by := v_place.taken_by;
  end if;
  live_on := v_coupon.live_on;
  slot := v_coupon.slot;
  return next;
end
$$;

comment on function public.set_coupon_start(bigint, timestamptz, text, text) is
  'Gives a coupon that has not started another start_time; a start on another day takes a place there. Outcomes in order:
coupon_not_found, unchanged, already_started (for its group, if it has one), in_the_past, not_after_eligible_from
(set_coupon_group() first), not_before_expiry (set_coupon_expiry() first), start_time_taken
and count_taken (by the coupon taken_by), day_full, changed. live_on and slot are as they stand after it. warning is
short_lived if it can be had for less than a minute. Waits for the leases of the coupon: nobody is told the old start once
the new one holds. reason and actor (on whose behalf) go to the audit.';

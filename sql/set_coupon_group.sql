-- Lets the members of a group have a coupon before everybody else, or (null, null) nobody. coupon_not_found · unchanged ·
-- already_started · in_the_past · not_before_start · changed. Takes the issuing lock.
create or replace function public.set_coupon_group(
  coupon_id bigint,
  group_name text,
  eligible_from timestamptz,
  reason text default null,
  actor text default null
)
returns table (outcome public.set_coupon_group_outcome, warning public.coupon_warning)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC' -- of the times in the audit
as $$
declare
  v_now timestamptz;
  v_coupon coupon.coupons;
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('coupon_id', set_coupon_group.coupon_id is null, 'must not be null'),
    ('group_name', set_coupon_group.group_name is null and set_coupon_group.eligible_from is not null, 'must not be null'),
    ('eligible_from', set_coupon_group.eligible_from is null and set_coupon_group.group_name is not null, 'must not be null'),
    ('eligible_from', not (set_coupon_group.eligible_from >= '1970-01-01Z' and set_coupon_group.eligible_from < '9999-12-31Z'),
      'must lie between 1970 and 9999')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.check_group_name(set_coupon_group.group_name);
  perform coupon.check_reason_and_actor(set_coupon_group.reason, set_coupon_group.actor);

  perform coupon.outlive_leases(set_coupon_group.coupon_id);
  v_coupon := coupon.lock_issuing(set_coupon_group.coupon_id);
  -- After the waits, as set_coupon_start() has it.
  v_now := clock_timestamp();
  outcome := case
    when v_coupon.id is null then 'coupon_not_found'
    when v_coupon.eligible_group is not distinct from set_coupon_group.group_name
      and v_coupon.eligible_from is not distinct from set_coupon_group.eligible_from then 'unchanged'
    when v_coupon.issued > 0 or coupon.first_start(v_coupon) <= v_now then 'already_started'
    when set_coupon_group.eligible_from <= v_now then 'in_the_past'
    when set_coupon_group.eligible_from >= v_coupon.start_time then 'not_before_start'
    else 'changed' end;
  if outcome = 'changed' then
    update coupon.coupons c
    set eligible_group = set_coupon_group.group_name, eligible_from = set_coupon_group.eligible_from
    where c.id = set_coupon_group.coupon_id;
    insert into coupon.audit (command, coupon_id, old_values, new_values, reason, actor)
    values ('set_coupon_group', set_coupon_group.coupon_id,
      jsonb_build_object('eligible_group', v_coupon.eligible_group, 'eligible_from', v_coupon.eligible_from),
      jsonb_build_object('eligible_group', set_coupon_group.group_name, 'eligible_from', set_coupon_group.eligible_from),
      set_coupon_group.reason, set_coupon_group.actor);
    warning := case
      when set_coupon_group.group_name is not null and not exists (
        select from coupon.group_members m where m.group_name = set_coupon_group.group_name)
      then 'empty_group' end;
  elsif outcome = 'unchanged' then
    perform coupon.fence_replay();
  end if;
  return next;
end
$$;

comment on function public.set_coupon_group(bigint, text, timestamptz, text, text) is
  'Lets the members of a group (add_to_group()) have the coupon from eligible_from on, and everybody else from start_time on
as before; null, null: nobody before that. Until the coupon starts, for its group or for everybody. Outcomes in order:
coupon_not_found, unchanged, already_started, in_the_past, not_before_start, changed. warning is empty_group if the group
has no members yet. Waits for the leases of the coupon. reason and actor (on whose behalf) go to the audit.';

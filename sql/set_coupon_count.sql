-- Restocks a coupon, or cuts what is left. coupon_not_found · unchanged · below_issued · count_taken · changed.
-- Locks the settings' row (counts of a day differ), then issuing.
create or replace function public.set_coupon_count(
  coupon_id bigint,
  count integer,
  reason text default null,
  actor text default null
)
returns table (outcome public.set_coupon_count_outcome, issued integer, remaining integer)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_coupon coupon.coupons;
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('coupon_id', set_coupon_count.coupon_id is null, 'must not be null'),
    ('count', set_coupon_count.count is null, 'must not be null'),
    ('count', set_coupon_count.count not between 1 and 100000000, 'must lie between 1 and 100000000')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.check_reason_and_actor(set_coupon_count.reason, set_coupon_count.actor);

  perform coupon.outlive_leases(set_coupon_count.coupon_id);
  perform from coupon.settings s for no key update;
  v_coupon := coupon.lock_issuing(set_coupon_count.coupon_id);
  if v_coupon.id is null then
    outcome := 'coupon_not_found';
    return next;
    return;
  end if;

  outcome := case
    when v_coupon.count = set_coupon_count.count then 'unchanged'
    when set_coupon_count.count < v_coupon.issued then 'below_issued'
    when exists (
      select from coupon.coupons c
      where c.live_on = v_coupon.live_on and c.count = set_coupon_count.count) then 'count_taken'
    else 'changed' end;
  if outcome = 'changed' then
    update coupon.coupons c set count = set_coupon_count.count where c.id = set_coupon_count.coupon_id;
    insert into coupon.audit (command, coupon_id, old_values, new_values, reason, actor)
    values ('set_coupon_count', set_coupon_count.coupon_id, jsonb_build_object('count', v_coupon.count),
      jsonb_build_object('count', set_coupon_count.count), set_coupon_count.reason, set_coupon_count.actor);
    v_coupon.count := set_coupon_count.count;
  elsif outcome = 'unchanged' then
    perform coupon.fence_replay();
  end if;
  issued := v_coupon.issued;
  remaining := v_coupon.count - v_coupon.issued;
  return next;
end
$$;

comment on function public.set_coupon_count(bigint, integer, text, text) is
  'Restocks the coupon, or cuts what is left; never below what is issued. Outcomes in order:
coupon_not_found, unchanged, below_issued, count_taken (by another coupon of that day), changed.
issued and remaining are as they stand after it. reason and actor (on whose behalf) go to the audit.';

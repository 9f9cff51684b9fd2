-- Stops issuing until resume_coupon(). coupon_not_found · already_paused · paused. Takes the issuing lock.
create or replace function public.pause_coupon(coupon_id bigint, reason text default null, actor text default null)
returns table (outcome public.pause_coupon_outcome)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('coupon_id', pause_coupon.coupon_id is null, 'must not be null'),
    ('reason', length(pause_coupon.reason) not between 1 and 500, 'must have 1 to 500 characters'),
    ('actor', length(pause_coupon.actor) not between 1 and 250, 'must have 1 to 250 characters')
  ) a (name, is_bad, why)
  where a.is_bad;

  perform coupon.outlive_leases(pause_coupon.coupon_id);
  perform coupon.lock_issuing(pause_coupon.coupon_id);
  update coupon.coupons c set paused = true where c.id = pause_coupon.coupon_id and not c.paused;
  outcome := case
    when found then 'paused'
    when exists (select from coupon.coupons c where c.id = pause_coupon.coupon_id) then 'already_paused'
    else 'coupon_not_found' end;
  if outcome = 'paused' then
    insert into coupon.audit (command, coupon_id, old_values, new_values, reason, actor)
    values ('pause_coupon', pause_coupon.coupon_id, '{"paused": false}', '{"paused": true}',
      pause_coupon.reason, pause_coupon.actor);
  elsif outcome = 'already_paused' then
    perform coupon.fence_replay();
  end if;
  return next;
end
$$;

comment on function public.pause_coupon(bigint, text, text) is
  'Stops issuing the coupon; nothing is issued after this commits. Outcomes in order: coupon_not_found, already_paused,
paused. Using issued coupons goes on. reason and actor (on whose behalf) go to the audit.';

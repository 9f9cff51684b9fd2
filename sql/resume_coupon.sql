-- Lets issuing go on after pause_coupon(). coupon_not_found · not_paused · resumed. Takes the issuing lock.
create or replace function public.resume_coupon(coupon_id bigint, reason text default null, actor text default null)
returns table (outcome public.resume_coupon_outcome)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('coupon_id', resume_coupon.coupon_id is null, 'must not be null'),
    ('reason', length(resume_coupon.reason) not between 1 and 500, 'must have 1 to 500 characters'),
    ('actor', length(resume_coupon.actor) not between 1 and 250, 'must have 1 to 250 characters')
  ) a (name, is_bad, why)
  where a.is_bad;

  perform coupon.outlive_leases(resume_coupon.coupon_id);
  perform coupon.lock_issuing(resume_coupon.coupon_id);
  update coupon.coupons c set paused = false where c.id = resume_coupon.coupon_id and c.paused;
  outcome := case
    when found then 'resumed'
    when exists (select from coupon.coupons c where c.id = resume_coupon.coupon_id) then 'not_paused'
    else 'coupon_not_found' end;
  if outcome = 'resumed' then
    insert into coupon.audit (command, coupon_id, old_values, new_values, reason, actor)
    values ('resume_coupon', resume_coupon.coupon_id, '{"paused": true}', '{"paused": false}',
      resume_coupon.reason, resume_coupon.actor);
  elsif outcome = 'not_paused' then
    perform coupon.fence_replay();
  end if;
  return next;
end
$$;

comment on function public.resume_coupon(bigint, text, text) is
  'Lets issuing go on. Outcomes in order: coupon_not_found, not_paused, resumed. reason and actor (on whose
behalf) go to the audit.';

-- Lets issuing go on after pause_coupon(). coupon_not_found · not_paused · resumed. Takes the issuing lock.
create or replace function public.resume_coupon(coupon_id bigint, reason text default null, actor text default null)
returns table (outcome public.resume_coupon_outcome)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  outcome := case
    coupon.set_paused(resume_coupon.coupon_id, false, resume_coupon.reason, resume_coupon.actor)
    when true then 'resumed'
    when false then 'not_paused'
    else 'coupon_not_found' end;
  return next;
end
$$;

comment on function public.resume_coupon(bigint, text, text) is
  'Lets issuing go on. Outcomes in order: coupon_not_found, not_paused, resumed. reason and actor (on whose
behalf) go to the audit.';

-- Stops issuing until resume_coupon(). coupon_not_found · already_paused · paused. Takes the issuing lock.
create or replace function public.pause_coupon(coupon_id bigint, reason text default null, actor text default null)
returns table (outcome public.pause_coupon_outcome)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  outcome := case
    coupon.set_paused(pause_coupon.coupon_id, true, pause_coupon.reason, pause_coupon.actor)
    when true then 'paused'
    when false then 'already_paused'
    else 'coupon_not_found' end;
  return next;
end
$$;

comment on function public.pause_coupon(bigint, text, text) is
  'Stops issuing the coupon; nothing is issued after this commits. Outcomes in order: coupon_not_found, already_paused,
paused. Using issued coupons goes on. reason and actor (on whose behalf) go to the audit.';

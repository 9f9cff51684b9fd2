-- Stops issuing until resume_coupon(). coupon_not_found · already_paused · paused. Takes the issuing lock.
create or replace function public.pause_coupon(coupon_id bigint)
returns table (outcome public.pause_coupon_outcome)
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  if pause_coupon.coupon_id is null then
    perform coupon.refuse_argument('coupon_id', 'must not be null');
  end if;

  perform coupon.lock_issuing(pause_coupon.coupon_id);
  update coupon.coupons c set paused = true where c.id = pause_coupon.coupon_id and not c.paused;
  outcome := case
    when found then 'paused'
    when exists (select from coupon.coupons c where c.id = pause_coupon.coupon_id) then 'already_paused'
    else 'coupon_not_found' end;
  if outcome = 'already_paused' then
    perform coupon.fence_replay();
  end if;
  return next;
end
$$;

comment on function public.pause_coupon(bigint) is
  'Stops issuing the coupon; nothing is issued after this commits. Outcomes in order: coupon_not_found, already_paused,
paused. Using issued coupons goes on.';

-- Lets issuing go on after pause_coupon(). coupon_not_found · not_paused · resumed. Takes the issuing lock.
create or replace function public.resume_coupon(coupon_id bigint)
returns table (outcome public.resume_coupon_outcome)
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  if resume_coupon.coupon_id is null then
    perform coupon.refuse_argument('coupon_id', 'must not be null');
  end if;

  perform coupon.lock_issuing(resume_coupon.coupon_id);
  update coupon.coupons c set paused = false where c.id = resume_coupon.coupon_id and c.paused;
  outcome := case
    when found then 'resumed'
    when exists (select from coupon.coupons c where c.id = resume_coupon.coupon_id) then 'not_paused'
    else 'coupon_not_found' end;
  if outcome = 'not_paused' then
    perform coupon.fence_replay();
  end if;
  return next;
end
$$;

comment on function public.resume_coupon(bigint) is
  'Lets issuing go on. Outcomes in order: coupon_not_found, not_paused, resumed.';

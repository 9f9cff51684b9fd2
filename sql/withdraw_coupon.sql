-- Takes back a coupon of which nothing was issued. coupon_not_found · already_withdrawn · has_grants · withdrawn.
-- Takes the issuing lock. The row is deleted, so everything that it took is free; the audit remembers what it was, and its
-- id is never given again.
create or replace function public.withdraw_coupon(coupon_id bigint, reason text default null, actor text default null)
returns table (outcome public.withdraw_coupon_outcome, issued integer)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_coupon coupon.coupons;
begin
  if withdraw_coupon.coupon_id is null then
    perform coupon.refuse_argument('coupon_id', 'must not be null');
  end if;
  perform coupon.check_reason_and_actor(withdraw_coupon.reason, withdraw_coupon.actor);

  perform coupon.outlive_leases(withdraw_coupon.coupon_id);
  v_coupon := coupon.lock_issuing(withdraw_coupon.coupon_id);
  outcome := case
    when v_coupon.issued > 0 then 'has_grants'
    when v_coupon.id is not null then 'withdrawn'
    when exists (
      select from coupon.audit a where a.coupon_id = withdraw_coupon.coupon_id and a.command = 'withdraw_coupon')
      then 'already_withdrawn'
    else 'coupon_not_found' end;
  if outcome = 'withdrawn' then
    delete from coupon.coupons c where c.id = withdraw_coupon.coupon_id;
    insert into coupon.audit (command, coupon_id, old_values, reason, actor)
    values ('withdraw_coupon', withdraw_coupon.coupon_id, coupon.terms_of(v_coupon), withdraw_coupon.reason, withdraw_coupon.actor);
  elsif outcome = 'already_withdrawn' then
    perform coupon.fence_replay();
  end if;
  issued := v_coupon.issued;
  return next;
end
$$;

comment on function public.withdraw_coupon(bigint, text, text) is
  'Takes back a coupon of which nothing was issued, at any time: nobody can get it any more, and its code, its start_time, its
count and its place of the day are free. Outcomes in order: coupon_not_found, already_withdrawn, has_grants (so many are
issued, and stay: pause_coupon(), set_coupon_expiry() and set_coupon_count() end issuing), withdrawn. The audit keeps what it
was. create_coupon() makes another one with the same members only for another reason: a late retry of it does not. reason and
actor (on whose behalf) go to the audit.';

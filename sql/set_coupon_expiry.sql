-- Lengthens or shortens a coupon's life, its grants' too. coupon_not_found · unchanged ·
-- not_after_start · in_the_past · changed. Takes the issuing lock; the grants follow by the
-- trigger coupons_carry_expiry.
create or replace function public.set_coupon_expiry(
  coupon_id bigint,
  expiry timestamptz,
  reason text default null,
  actor text default null
)
returns table (outcome public.set_coupon_expiry_outcome, warning public.coupon_warning)
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
    ('coupon_id', set_coupon_expiry.coupon_id is null, 'must not be null'),
    ('expiry', set_coupon_expiry.expiry is null, 'must not be null'),
    ('expiry', not (set_coupon_expiry.expiry >= '1970-01-01Z' and set_coupon_expiry.expiry < '9999-12-31Z'),
      'must lie between 1970 and 9999')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.check_reason_and_actor(set_coupon_expiry.reason, set_coupon_expiry.actor);

  perform coupon.outlive_leases(set_coupon_expiry.coupon_id);
  v_coupon := coupon.lock_issuing(set_coupon_expiry.coupon_id);
  v_now := clock_timestamp();
  outcome := case
    when v_coupon.id is null then 'coupon_not_found'
    when v_coupon.expiry = set_coupon_expiry.expiry then 'unchanged'
    when set_coupon_expiry.expiry <= v_coupon.start_time then 'not_after_start'
    when set_coupon_expiry.expiry <= v_now then 'in_the_past'
    -- The clock may have been set back since one of these.
    when set_coupon_expiry.expiry < v_coupon.expiry and exists (
      select from coupon.user_coupons g
      where g.coupon_id = set_coupon_expiry.coupon_id and set_coupon_expiry.expiry <= greatest(g.issued_at, g.used_date))
      then 'in_the_past'
    else 'changed' end;
  if outcome = 'changed' then
    update coupon.coupons c set expiry = set_coupon_expiry.expiry where c.id = set_coupon_expiry.coupon_id;
    insert into coupon.audit (command, coupon_id, old_values, new_values, reason, actor)
    values ('set_coupon_expiry', set_coupon_expiry.coupon_id, jsonb_build_object('expiry', v_coupon.expiry),
      jsonb_build_object('expiry', set_coupon_expiry.expiry), set_coupon_expiry.reason, set_coupon_expiry.actor);
    warning := case
      when coupon.is_short_lived(v_coupon.start_time, set_coupon_expiry.expiry, v_now) then 'short_lived' end;
  elsif outcome = 'unchanged' then
    perform coupon.fence_replay();
  end if;
  return next;
end
$$;

comment on function public.set_coupon_expiry(bigint, timestamptz, text, text) is
  'Gives the coupon, and all that was issued of it, another expiry. Outcomes in order:
coupon_not_found, unchanged, not_after_start, in_the_past (grants and uses after it may exist;
pause_coupon() ends issuing at once), changed. warning is short_lived if it can be had for less than a
minute from here on. Rewrites every grant of the coupon and holds issuing
meanwhile: with very many, pause first and call it in psql, where no timeout ends it. reason and
actor (on whose behalf) go to the audit.';

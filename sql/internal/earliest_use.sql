-- The earliest time at which a grant can be used. The guard of uses asks it as well (check_use(), in the migrations).
create or replace function coupon.earliest_use(held coupon.user_coupons)
returns timestamptz
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  select greatest((earliest_use.held).issued_at, max(a.used_date) + interval '1 microsecond')
  from coupon.audit a
  where a.user_id = (earliest_use.held).user_id and a.coupon_id = (earliest_use.held).coupon_id
$$;

comment on function coupon.earliest_use(coupon.user_coupons) is
  'A use is not before the grant, and after each use that was taken back, even if the clock was set back since: what has
another used_date is another use.';

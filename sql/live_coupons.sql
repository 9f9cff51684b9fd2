-- What can be claimed now: started and not expired, sold out and paused ones included.
create or replace function public.live_coupons()
returns setof public.coupon_offer
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  select o.*
  from (select clock_timestamp() as at) now
  cross join coupon.coupons c
  cross join lateral coupon.describe_coupon(c, now.at) o
  where c.start_time <= now.at and c.expiry > now.at
  order by c.start_time, c.id
$$;

comment on function public.live_coupons() is
  'Coupons that have started and not expired, earliest first; remaining, sold_out and paused say whether one can be had.';

-- What can be claimed now, a page at a time: started and not expired, sold out and paused ones included, the last one to
-- start first. No two coupons start together, so the start is the key to page by: whatever becomes of the last coupon of a
-- page, the next one begins where it stood.
create or replace function public.live_coupons(before timestamptz default null, page_size integer default 100)
returns setof public.coupon_offer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp(); -- as a value, so that the index of expiry leaves out what has ended
begin
  if live_coupons.page_size is null or live_coupons.page_size not between 1 and 1000 then
    perform coupon.refuse_argument('page_size', 'must lie between 1 and 1000');
  end if;

  return query
  select o.*
  from coupon.coupons c
  cross join lateral coupon.describe_coupon(c, v_now) o
  where c.start_time <= v_now and c.expiry > v_now
    and c.start_time < coalesce(live_coupons.before, 'infinity')
  order by c.start_time desc
  limit live_coupons.page_size;
end
$$;

comment on function public.live_coupons(timestamptz, integer) is
  'Coupons that have started and not expired, at most page_size (1 to 1000) of them, the last one to start first; for the
next page give the last start_time as before. remaining, sold_out and paused say whether one can be had.';

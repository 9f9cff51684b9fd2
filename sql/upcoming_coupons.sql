-- What will be on offer, a page at a time: not started yet, the next one first. No two coupons start
-- together, so the start is the key to page by.
create or replace function public.upcoming_coupons(after timestamptz default null, page_size integer default 100)
returns setof public.coupon_offer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp(); -- as a value, so that the index of start_time leaves out what has started
begin
  if upcoming_coupons.page_size is null or upcoming_coupons.page_size not between 1 and 1000 then
    perform coupon.refuse_argument('page_size', 'must lie between 1 and 1000');
  end if;

  return query
  select o.*
  from coupon.coupons c
  cross join lateral coupon.describe_coupon(c, v_now) o
  where c.start_time > greatest(v_now, upcoming_coupons.after)
  order by c.start_time
  limit upcoming_coupons.page_size;
end
$$;

comment on function public.upcoming_coupons(timestamptz, integer) is
  'Coupons that have not started, at most page_size (1 to 1000) of them, the next one first; for the next page give the
last start_time as after. starts_in counts down by the database clock.';

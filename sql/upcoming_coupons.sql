-- What will be on offer: not started yet, the next one first.
create or replace function public.upcoming_coupons(page_size integer default 100)
returns setof public.coupon_offer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if upcoming_coupons.page_size is null or upcoming_coupons.page_size not between 1 and 1000 then
    perform coupon.refuse_argument('page_size', 'must lie between 1 and 1000');
  end if;

  return query
  select o.*
  from (select clock_timestamp() as at) now
  cross join coupon.coupons c
  cross join lateral coupon.describe_coupon(c, now.at) o
  where c.start_time > now.at
  order by c.start_time, c.id
  limit upcoming_coupons.page_size;
end
$$;

comment on function public.upcoming_coupons(integer) is
  'The next page_size (1 to 1000) coupons that have not started; starts_in counts down by the database clock.';

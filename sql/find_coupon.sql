-- One coupon by its id or its code (whatever its case), in whatever state; no row where there is none.
create or replace function public.find_coupon(coupon_id bigint default null, code text default null)
returns setof public.coupon_offer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if num_nonnulls(find_coupon.coupon_id, find_coupon.code) <> 1 then
    perform coupon.refuse_argument('coupon_id', 'or code must be given, and only one of them');
  end if;

  return query
  select o.*
  from coupon.coupons c
  cross join lateral coupon.describe_coupon(c, clock_timestamp(), coupon.asked_for(c)) o
  where c.id = find_coupon.coupon_id or lower(c.code) = lower(find_coupon.code collate "C");
end
$$;

comment on function public.find_coupon(bigint, text) is
  'The coupon with this coupon_id, or with this code whatever its case: find_coupon(code => ''LUNCH''). No row: none.
asked counts the requests for it that were answered: grants at once, the rest a second or two later.';

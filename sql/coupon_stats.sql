-- How a drop went; no row where there is no such coupon.
create or replace function public.coupon_stats(coupon_id bigint)
returns table (
  code text,
  count integer,
  issued integer,
  remaining integer,
  used bigint,
  first_issued_at timestamptz,
  last_issued_at timestamptz,
  time_to_sell_out interval
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if coupon_stats.coupon_id is null then
    perform coupon.refuse_argument('coupon_id', 'must not be null');
  end if;

  return query
  select
    c.code, c.count, c.issued, c.count - c.issued, g.used, g.first_issued_at, g.last_issued_at,
    case when c.issued = c.count then g.last_issued_at - c.start_time end
  from coupon.coupons c
  cross join lateral (
    select
      count(*) filter (where g.is_used) as used,
      min(g.issued_at) as first_issued_at,
      max(g.issued_at) as last_issued_at
    from coupon.user_coupons g
    where g.coupon_id = c.id
  ) g
  where c.id = coupon_stats.coupon_id;
end
$$;

comment on function public.coupon_stats(bigint) is
  'How the drop went: issued, used, remaining, first and last grant; time_to_sell_out runs from start_time to the last
grant, null while some remain. No row: no such coupon.';

-- How a drop went; no row where there is no such coupon. Reads the first and the last grant by their positions and a few
-- counts of uses: three million grants cost no more than ten. Requests are counted
-- from a row a second.
create or replace function public.coupon_stats(coupon_id bigint)
returns table (
  code text,
  count integer,
  issued integer,
  remaining integer,
  used bigint,
  asked bigint,
  first_issued_at timestamptz,
  last_issued_at timestamptz,
  sold_out_at timestamptz,
  time_to_sell_out interval
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
begin
  if coupon_stats.coupon_id is null then
    perform coupon.refuse_argument('coupon_id', 'must not be null');
  end if;

  return query
  select
    c.code, c.count, c.issued, c.count - c.issued, u.used, c.asked, least(f.issued_at, s.first_issued_at),
    greatest(l.issued_at, s.last_issued_at), c.sold_out_at, c.sold_out_at - c.first_start
  from (
    select c.id, c.code, c.count, c.issued, coupon.asked_for(c) as asked, coupon.first_start(c) as first_start,
      c.sold_out_at
    from coupon.coupons c
    where c.id = coupon_stats.coupon_id
    union all
    select r.coupon_id, r.code, r.count, r.issued, r.asked, coalesce(r.eligible_from, r.start_time),
      r.sold_out_at
    from coupon.retired_coupons r
    where r.coupon_id = coupon_stats.coupon_id
  ) c
  cross join lateral (
    select coalesce(sum(u.used), 0) as used from coupon.use_counts u where u.coupon_id = c.id
  ) u
  -- Of a retired coupon: the grants that are moved out already.
  cross join lateral (
    select min(s.first_issued_at) as first_issued_at, max(s.last_issued_at) as last_issued_at
    from coupon.retired_grants s
    where s.coupon_id = c.id
  ) s
  left join coupon.user_coupons f
    on coupon.position_key(f.coupon_id, f.position) = coupon.position_key(c.id, 1)
  left join coupon.user_coupons l
    on coupon.position_key(l.coupon_id, l.position) = coupon.position_key(c.id, c.issued);
end
$$;

comment on function public.coupon_stats(bigint) is
  'How the drop went: issued, used, remaining, first and last grant; asked, how many requests for it were answered; time_to_sell_out runs from
start_time (from eligible_from, where a group could have it before) to sold_out_at; both are null while some remain. Also of a coupon that was retired. No row: no such coupon.';

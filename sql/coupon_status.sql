-- What an operator watches while a drop runs: each coupon that is live, upcoming or of today, and how fast it goes.
--
-- Reads all coupons (three a day) and, of each one's grants, the last one by its position; only where that is younger
-- than a minute, some 20 more for each of the two rates. Ten million grants cost no more than ten.
create or replace function public.coupon_status()
returns table (
  coupon_id bigint,
  code text,
  state public.coupon_state,
  paused boolean,
  count integer,
  issued integer,
  remaining integer,
  starts_in interval,
  since_start interval,
  last_issued_at timestamptz,
  per_second_10s numeric,
  per_second_60s numeric
)
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
  select
    c.id,
    c.code,
    coupon.state_of(c, now.at),
    c.paused,
    c.count,
    c.issued,
    c.count - c.issued,
    case when c.start_time > now.at then c.start_time - now.at end,
    case when c.start_time <= now.at then now.at - c.start_time end,
    l.issued_at,
    round((c.issued - t.before) / 10.0, 1),
    round((c.issued - m.before) / 60.0, 2)
  from (select clock_timestamp() as at) now
  cross join coupon.coupons c
  left join coupon.user_coupons l
    on coupon.position_key(l.coupon_id, l.position) = coupon.position_key(c.id, c.issued)
  cross join lateral (
    select case when l.issued_at >= now.at - interval '60 seconds'
      then coupon.issued_before(c.id, now.at - interval '60 seconds', 0, c.issued)
      else c.issued end as before
  ) m
  cross join lateral (
    select case when l.issued_at >= now.at - interval '10 seconds'
      then coupon.issued_before(c.id, now.at - interval '10 seconds', m.before, c.issued)
      else c.issued end as before
  ) t
  where c.expiry > now.at or c.live_on = (now.at at time zone c.time_zone)::date
  order by c.start_time, c.id
$$;

comment on function public.coupon_status() is
  'Each coupon that is live, upcoming or of today, earliest first. state: upcoming, ended, paused,
sold_out or live, the first that applies. starts_in is null once started, since_start before.
per_second_10s, per_second_60s: grants a second, over the last 10 and 60 seconds. As cheap with ten
million grants as with ten: good for \watch 1. Uses would have to be counted: coupon_stats(),
daily_summary().';

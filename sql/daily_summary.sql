-- What each day offered and gave: a row a day, also where it is all 0.
--
-- Reads the grants of these days, found by the key (issued_on, user_id), and no others.
create or replace function public.daily_summary(first_day date default null, last_day date default null)
returns table (
  day date,
  coupons integer,
  count bigint,
  asked bigint,
  issued bigint,
  used bigint,
  share_used numeric,
  first_issued_at timestamptz,
  last_issued_at timestamptz
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_last date;
  v_first date;
begin
  perform coupon.refuse_argument(a.name, 'must lie between 1970 and 9999')
  from (values ('first_day', daily_summary.first_day), ('last_day', daily_summary.last_day)) a (name, day)
  where a.day not between '1970-01-01' and '9999-12-31';

  v_last := coalesce(daily_summary.last_day, coupon.today());
  v_first := coalesce(daily_summary.first_day, v_last - 6);
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('last_day', v_last < v_first, 'must not be before first_day'),
    ('first_day', v_first < v_last - 365, 'must be at most 365 days before last_day')
  ) a (name, is_bad, why)
  where a.is_bad;

  return query
  select
    d.day, o.coupons, o.count, o.asked, g.issued, g.used, round(g.used / nullif(g.issued, 0)::numeric, 4),
    g.first_issued_at, g.last_issued_at
  from (select v_first + n from generate_series(0, v_last - v_first) n) d (day)
  cross join lateral (
    select count(*)::integer as coupons, coalesce(sum(c.count), 0) as count, coalesce(sum(c.asked), 0)::bigint as asked
    from (
      select c.count, coupon.asked_for(c) as asked from coupon.coupons c where c.live_on = d.day
      union all
      select r.count, r.asked from coupon.retired_coupons r where r.live_on = d.day
    ) c
  ) o
  cross join lateral (
    select
      sum(s.issued)::bigint as issued,
      sum(s.used)::bigint as used,
      min(s.first_issued_at) as first_issued_at,
      max(s.last_issued_at) as last_issued_at
    from (
      select
        count(*) as issued, count(*) filter (where u.is_used) as used,
        min(u.issued_at) as first_issued_at, max(u.issued_at) as last_issued_at
      from coupon.user_coupons u
      where u.issued_on = d.day
      union all
      select r.issued, r.used, r.first_issued_at, r.last_issued_at
      from coupon.retired_grants r
      where r.issued_on = d.day
    ) s
  ) g
  order by d.day;
end
$$;

comment on function public.daily_summary(date, date) is
  'A row a day from first_day to last_day, at most 366; by default the last seven. coupons started that day, with count
units together, and asked are the requests for them that were answered, of any day. issued: grants made that day, of any coupon, and so many users, since each gets one a day; used of
them by now, a share_used of 0 to 1. Days of the service''s time zone. Reads the grants of these days, no others.';

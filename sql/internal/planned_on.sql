-- What the plan says of these days, for coupon.make_coupons(): what is made already has its outcome.
-- A local time that the clocks skip or repeat is what "at time zone" makes of it. JIT is off: of small tables that were never
-- analyzed the planner expects much, and to compile that takes a second.
create or replace function coupon.planned_on(first_day date, last_day date)
returns setof public.planned_coupon
language sql
volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
  select
    null::public.fill_days_outcome, d.day, p.slot, coupon.code_of(p.code_pattern, d.day, p.slot), p.message,
    p.description, (d.day + p.local_start) at time zone s.time_zone,
    (d.day + p.expiry_days + p.local_expiry) at time zone s.time_zone, p.count, p.metadata, null::bigint, null::bigint,
    null::public.coupon_warning
  from (
    select planned_on.first_day + n from generate_series(0, planned_on.last_day - planned_on.first_day) n
  ) d (day)
  join coupon.plan p on p.weekday = extract(isodow from d.day)
  cross join coupon.settings s
  where not exists (select from coupon.planned m where m.day = d.day and m.slot = p.slot)
  union all
  select
    'already_made', m.day, m.slot, c.code, c.message, c.description, c.start_time, c.expiry, c.count, c.metadata,
    m.coupon_id, null, null
  from coupon.planned m
  left join coupon.coupons c on c.id = m.coupon_id
  where m.day between planned_on.first_day and planned_on.last_day
  order by 2, 3
$$;

comment on function coupon.planned_on(date, date) is
  'The coupons that these days have by the plan, and those that were made from it. A local time that the clocks skip is as much
later as they are put forward, and one that comes twice is the second one.';

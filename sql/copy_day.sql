-- Makes the coupons of one day again on another one, at the same local times. Outcomes as fill_days() has them.
-- Locks the settings' row, as create_coupon() does.
create or replace function public.copy_day(from_day date, to_day date, reason text default null, actor text default null)
returns setof public.planned_coupon
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('from_day', copy_day.from_day is null, 'must not be null'),
    ('to_day', copy_day.to_day is null, 'must not be null'),
    ('from_day', copy_day.from_day not between '1970-01-01' and '9997-12-31', 'must lie between 1970 and 9997'),
    ('to_day', copy_day.to_day not between '1970-01-01' and '9997-12-31', 'must lie between 1970 and 9997'),
    ('to_day', copy_day.to_day = copy_day.from_day, 'must be another day than from_day')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.check_reason_and_actor(copy_day.reason, copy_day.actor);

  perform from coupon.settings s for no key update;
  return query
  select m.*
  from coupon.make_coupons(
    array(
      select (null, copy_day.to_day, c.slot,
        case when d.code = c.code then c.code || to_char(copy_day.to_day::timestamp, '-YYYYMMDD') else d.code end,
        c.message, c.description, (c.start_time at time zone c.time_zone + d.by) at time zone c.time_zone,
        -- A coupon for ever is one, wherever it begins.
        least((c.expiry at time zone c.time_zone + d.by) at time zone c.time_zone, '9999-12-30Z'), c.count, c.metadata,
        null, null, null)::public.planned_coupon
      from coupon.coupons c
      cross join lateral (select
        replace(replace(c.code, to_char(copy_day.from_day::timestamp, 'YYYYMMDD'),
            to_char(copy_day.to_day::timestamp, 'YYYYMMDD')),
          to_char(copy_day.from_day::timestamp, 'YYYY-MM-DD'), to_char(copy_day.to_day::timestamp, 'YYYY-MM-DD')) as code,
        make_interval(days => copy_day.to_day - copy_day.from_day) as by
      ) d
      where c.live_on = copy_day.from_day
      order by c.slot),
    true, copy_day.reason, copy_day.actor) m;
end
$$;

comment on function public.copy_day(date, date, text, text) is
  'Makes the coupons of from_day again on to_day: the same texts, counts and local times, not what was issued and not a pause. In a
code the date of from_day (20261130 or 2026-11-30) becomes that of to_day; a code without one gets it at its end (-20261130). A
row for each coupon of from_day, with the outcomes of fill_days(); the same call again finds them already_made. No row: there is
nothing on from_day. reason and actor (on whose behalf) go to the audit.';

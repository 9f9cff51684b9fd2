-- What fill_days() would do for these days. Does it and undoes it; locks the settings' row meanwhile.
create or replace function public.preview_days(first_day date default null, last_day date default null)
returns setof public.planned_coupon
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_first date := coalesce(preview_days.first_day, coupon.today());
begin
  perform coupon.check_days(v_first, preview_days.last_day);
  perform from coupon.settings s for no key update;
  return query
  select m.*
  from coupon.make_coupons(
    array(select p from coupon.planned_on(v_first, coalesce(preview_days.last_day, v_first + 13)) p), false, null, null) m;
end
$$;

comment on function public.preview_days(date, date) is
  'What fill_days() would do from first_day (today) to last_day (13 days later, at most 90): a row for each coupon of the plan,
with the rule that it would break, and nothing is changed. Outcomes as fill_days() has them; made means that it would be.';

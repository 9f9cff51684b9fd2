-- Makes the coupons of today and the days to come, as the plan says. already_made · in_the_past · not_after_start ·
-- code_too_long · code_taken · start_time_taken · count_taken · day_full · made.
-- Locks the settings' row: of two who fill at once, the second one finds all made.
create or replace function public.fill_days(last_day date default null, reason text default null, actor text default null)
returns setof public.planned_coupon
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_today date := coupon.today();
  v_coupons public.planned_coupon[];
begin
  perform coupon.refuse_argument('last_day', 'must not be before today') where fill_days.last_day < v_today;
  perform coupon.check_days(v_today, fill_days.last_day);
  perform coupon.check_reason_and_actor(fill_days.reason, fill_days.actor);

  perform from coupon.settings s for no key update;
  v_coupons := array(
    select m
    from coupon.make_coupons(
      array(select p from coupon.planned_on(v_today, coalesce(fill_days.last_day, v_today + 13)) p), true,
      fill_days.reason, fill_days.actor) m);
  insert into coupon.planned (day, slot, coupon_id)
  select c.day, c.slot, c.coupon_id from unnest(v_coupons) c where c.outcome in ('already_made', 'made')
  on conflict on constraint planned_pkey do nothing;
  if not found then
    perform coupon.fence_replay();
  end if;
  return query select c.* from unnest(v_coupons) c;
end
$$;

comment on function public.fill_days(date, text, text) is
  'Makes the coupons that the plan has for today and the days up to last_day (13 days from now, at most 90), by create_coupon().
Any scheduler may call it, as often as it likes, and each server does every hour: what was made once is not made again, also
after it was corrected, moved or withdrawn. A row for each coupon; outcomes in order: already_made, in_the_past (its start is
not to come), not_after_start (its expiry, where the clocks are changed), code_too_long (only of copy_day()), code_taken,
start_time_taken, count_taken (by the coupon taken_by), day_full, made. Where one can''t be made, the others are. A change of
the plan or of the time zone holds for days that are filled after it. reason and actor (on whose behalf) go to the audit.';

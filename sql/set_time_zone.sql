-- Declares the zone in which a day begins and ends. unchanged · breaks_daily_offer · changed. Locks the settings' row;
-- all coupons follow by their foreign key.
create or replace function public.set_time_zone(time_zone text)
returns table (outcome public.set_time_zone_outcome)
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  if set_time_zone.time_zone is null then
    perform coupon.refuse_argument('time_zone', 'must not be null');
  end if;
  if not exists (select from pg_catalog.pg_timezone_names z where z.name = set_time_zone.time_zone) then
    perform coupon.refuse_argument('time_zone', 'must be a name of pg_timezone_names, Europe/Berlin say');
  end if;

  update coupon.settings s set time_zone = set_time_zone.time_zone where s.time_zone <> set_time_zone.time_zone;
  outcome := case when found then 'changed' else 'unchanged' end;
  return next;
exception
  when unique_violation then
    outcome := 'breaks_daily_offer';
    return next;
end
$$;

comment on function public.set_time_zone(text) is
  'Declares the zone in which a calendar day begins and ends, for the daily limit and the daily offer. Coupons move to
their day in the new zone, grants keep the day they were made on. Outcomes in order: unchanged, breaks_daily_offer
(some day would offer two coupons in one place), changed.';

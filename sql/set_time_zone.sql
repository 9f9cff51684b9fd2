-- Declares the zone in which a day begins and ends. unchanged · breaks_daily_offer · changed. Locks the settings' row;
-- all coupons follow by their foreign key.
create or replace function public.set_time_zone(time_zone text, reason text default null, actor text default null)
returns table (outcome public.set_time_zone_outcome)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_was text;
begin
  if set_time_zone.time_zone is null then
    perform coupon.refuse_argument('time_zone', 'must not be null');
  end if;
  perform coupon.check_reason_and_actor(set_time_zone.reason, set_time_zone.actor);
  if not exists (select from pg_catalog.pg_timezone_names z where z.name = set_time_zone.time_zone) then
    perform coupon.refuse_argument('time_zone', 'must be a name of pg_timezone_names, Europe/Berlin say');
  end if;

  select s.time_zone into v_was from coupon.settings s for no key update;
  outcome := case when v_was = set_time_zone.time_zone then 'unchanged' else 'changed' end;
  if outcome = 'changed' then
    update coupon.settings s set time_zone = set_time_zone.time_zone;
    insert into coupon.audit (command, old_values, new_values, reason, actor)
    values ('set_time_zone', jsonb_build_object('time_zone', v_was),
      jsonb_build_object('time_zone', set_time_zone.time_zone), set_time_zone.reason, set_time_zone.actor);
  end if;
  return next;
exception
  when unique_violation then
    outcome := 'breaks_daily_offer';
    return next;
end
$$;

comment on function public.set_time_zone(text, text, text) is
  'Declares the zone in which a calendar day begins and ends, for the daily limit and the daily offer. Coupons move to
their day in the new zone, grants keep the day they were made on. Outcomes in order: unchanged, breaks_daily_offer
(some day would offer two coupons in one place), changed. reason and actor (on whose behalf) go to the audit.';

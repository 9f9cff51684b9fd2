-- Declares the zone in which a day begins and ends, and decides by its rules of today on which day each coupon is on
-- offer. unchanged · breaks_daily_offer · changed. Locks the settings' row, then issuing: a coupon that another session
-- changes may wait for the place that this one takes, and this one for that coupon. All coupons follow by their foreign key.
create or replace function public.set_time_zone(time_zone text, reason text default null, actor text default null)
returns table (outcome public.set_time_zone_outcome)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_was text;
  v_moved jsonb;
begin
  if set_time_zone.time_zone is null then
    perform coupon.refuse_argument('time_zone', 'must not be null');
  end if;
  perform coupon.check_reason_and_actor(set_time_zone.reason, set_time_zone.actor);
  if set_time_zone.time_zone in ('localtime', 'posixrules')
    or not exists (select from pg_catalog.pg_timezone_names z where z.name = set_time_zone.time_zone)
  then
    perform coupon.refuse_argument('time_zone', 'must be a name of pg_timezone_names, such as Europe/Berlin, and none that depends on the server');
  end if;

  select s.time_zone into v_was from coupon.settings s for no key update;
  perform coupon.lock_issuing(null);
  select jsonb_object_agg(c.id, c.live_on) into v_moved
  from coupon.coupons c
  where c.live_on <> (c.start_time at time zone set_time_zone.time_zone)::date;

  outcome := case
    when v_was = set_time_zone.time_zone and v_moved is null then 'unchanged'
    when exists (
      select from coupon.coupons c
      group by (c.start_time at time zone set_time_zone.time_zone)::date
      having count(*) > 3 or count(*) > count(distinct c.count)) then 'breaks_daily_offer'
    else 'changed' end;
  if outcome = 'changed' then
    set constraints coupon.coupons_one_per_slot, coupon.coupons_one_per_count deferred;
    update coupon.settings s set time_zone = set_time_zone.time_zone;
    update coupon.coupons c set live_on = d.day, slot = d.slot
    from (
      select n.id, n.day, row_number() over (partition by n.day order by n.slot, n.id) as slot
      from (
        select o.id, o.slot, (o.start_time at time zone set_time_zone.time_zone)::date as day
        from coupon.coupons o
      ) n
    ) d
    where d.id = c.id and (d.day, d.slot) <> (c.live_on, c.slot);
    set constraints coupon.coupons_one_per_slot, coupon.coupons_one_per_count immediate;
    insert into coupon.audit (command, old_values, new_values, reason, actor)
    values ('set_time_zone', jsonb_strip_nulls(jsonb_build_object('time_zone', v_was, 'live_on', v_moved)),
      jsonb_build_object('time_zone', set_time_zone.time_zone), set_time_zone.reason, set_time_zone.actor);
  elsif outcome = 'unchanged' then
    perform coupon.fence_replay();
  end if;
  return next;
end
$$;

comment on function public.set_time_zone(text, text, text) is
  'Declares the zone in which a calendar day begins and ends, for the daily limit and the daily offer. Coupons move to
their day in that zone, and where two meet to another slot of it; grants keep the day they were made on. The same zone
again moves the coupons whose day is another one since the zone''s rules have changed; reconcile() names them. Outcomes
in order: unchanged, breaks_daily_offer (some day would offer four coupons, or two of one count), changed. The audit
says whence which coupons moved; reason and actor (on whose behalf) go there too.';

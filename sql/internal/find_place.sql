-- Where a coupon would stand on the day of this start_time: the one body of rule 4, for create_coupon() and
-- set_coupon_start(). Who calls it has the settings' row, so nobody takes that place meanwhile. coupon_id is the coupon
-- that moves: it is not in its own way.
create or replace function coupon.find_place(start_time timestamptz, count integer, coupon_id bigint default null)
returns table (obstacle text, taken_by bigint, live_on date, slot smallint)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  select (find_place.start_time at time zone s.time_zone)::date into live_on from coupon.settings s;

  obstacle := 'start_time_taken';
  select c.id into taken_by from coupon.coupons c
  where c.start_time = find_place.start_time and c.id is distinct from find_place.coupon_id;
  if not found then
    obstacle := 'count_taken';
    select c.id into taken_by from coupon.coupons c
    where c.live_on = find_place.live_on and c.count = find_place.count and c.id is distinct from find_place.coupon_id;
  end if;
  if taken_by is null then
    select min(s.slot) into slot
    from generate_series(1, 3) s (slot)
    where not exists (
      select from coupon.coupons c
      where c.live_on = find_place.live_on and c.slot = s.slot and c.id is distinct from find_place.coupon_id);
    obstacle := case
      when slot is null or exists (select from coupon.retired_coupons r where r.live_on = find_place.live_on)
        then 'day_full' end;
  end if;
  return next;
end
$$;

comment on function coupon.find_place(timestamptz, integer, bigint) is
  'The day of start_time and a slot that is free there, or what is in the way (start_time_taken, count_taken, day_full)
and which coupon that is.';

-- The last place of a row of coupon.events.
create or replace function coupon.last_place(entry coupon.events)
returns integer
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(entry.last_position + entry.sold_out::integer, 0)
$$;

comment on function coupon.last_place(coupon.events) is
  'The last place of an event_id of this row: that of its last grant, or one more if they are then sold out; else 0.';

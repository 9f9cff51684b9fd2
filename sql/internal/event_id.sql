-- How an event is called: its row in coupon.events, its place there, and when the row was added.
create or replace function coupon.event_id(entry coupon.events, place integer)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select entry.number || '-' || place || '-' || (extract(epoch from entry.gathered_at) * 1000000)::bigint
$$;

comment on function coupon.event_id(coupon.events, integer) is
  'The event_id of an event: of grants the place is their position, and one more if they are then sold out; else 0.';

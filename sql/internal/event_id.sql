-- How an event is called: its row in coupon.events, its place there, and when the row was added. PostgreSQL inlines it: a page
-- has up to a thousand, and 18 would plan each call anew in coupon.events_after(), which has force_custom_plan. As immutable it would not be
-- inlined: text of a number is only stable to PostgreSQL.
create or replace function coupon.event_id(entry coupon.events, place integer)
returns text
language sql
stable
return entry.number || '-' || place || '-' || (extract(epoch from entry.gathered_at) * 1000000)::bigint;

comment on function coupon.event_id(coupon.events, integer) is
  'The event_id of an event: of grants the place is their position, and one more if they are then sold out; else 0.';

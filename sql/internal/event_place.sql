-- Where an event is, as its event_id says: the number of a row of coupon.events, and a place there. Nulls: it is no event_id.
create or replace function coupon.event_place(event_id text, out number bigint, out place integer)
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select p.part[1]::bigint, p.part[2]::integer
  from regexp_match(event_place.event_id, '^([1-9][0-9]{0,17})-([0-9]{1,9})-[0-9]{1,18}$') p (part)
$$;

comment on function coupon.event_place(text) is
  'The number and the place of an event_id, as coupon.event_id() wrote them; nulls for what is none. Whether there is such an
event is the caller''s to ask.';

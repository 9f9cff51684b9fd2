-- Which day it is for the service.
create or replace function coupon.today()
returns date
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  select (clock_timestamp() at time zone s.time_zone)::date from coupon.settings s
$$;

comment on function coupon.today() is
  'The calendar day of the database clock in the service''s time zone.';

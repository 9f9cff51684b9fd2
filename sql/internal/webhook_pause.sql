-- How long to wait after so many attempts: the schedule of the Standard Webhooks specification, up to where it passes a day.
create or replace function coupon.webhook_pause(attempts integer)
returns interval
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select (array['5 seconds', '5 minutes', '30 minutes', '2 hours', '5 hours', '10 hours', '14 hours']::interval[])[attempts]
$$;

comment on function coupon.webhook_pause(integer) is
  'The pause after this attempt, from 1; null: it was the last one, 31 hours and 35 minutes after the first.';

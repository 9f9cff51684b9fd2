-- Whether this server's zone data know a zone: an update of tzdata may drop one. Unlike pg_timezone_names it reads one file.
create or replace function coupon.is_time_zone(name text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform clock_timestamp() at time zone is_time_zone.name;
  return true;
exception
  when invalid_parameter_value then
    return false;
end
$$;

comment on function coupon.is_time_zone(text) is
  'Whether an instant can be expressed in the zone.';

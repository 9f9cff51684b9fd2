-- Asserts the name of a group.
create or replace function coupon.check_group_name(group_name text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if check_group_name.group_name !~ '^[A-Za-z0-9_-]{1,64}$' then
    perform coupon.refuse_argument('group_name', 'must be 1 to 64 letters, digits, - or _');
  end if;
end
$$;

comment on function coupon.check_group_name(text) is
  'Refuses a name that no group can have; a null fits.';

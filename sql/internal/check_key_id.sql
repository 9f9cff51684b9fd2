-- Asserts the id of a key.
create or replace function coupon.check_key_id(key_id text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if check_key_id.key_id is null then
    perform coupon.refuse_argument('key_id', 'must not be null');
  elsif length(check_key_id.key_id) not between 1 and 500 then
    perform coupon.refuse_argument('key_id', 'must have 1 to 500 characters');
  end if;
end
$$;

comment on function coupon.check_key_id(text) is
  'Refuses an id that no key has.';

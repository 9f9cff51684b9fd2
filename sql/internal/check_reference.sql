-- Asserts the caller's own id of a use.
create or replace function coupon.check_reference(reference text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if check_reference.reference is null then
    perform coupon.refuse_argument('reference', 'must not be null');
  elsif length(check_reference.reference) not between 1 and 200 then
    perform coupon.refuse_argument('reference', 'must have 1 to 200 characters');
  end if;
end
$$;

comment on function coupon.check_reference(text) is
  'Refuses a reference that is no id of a use: null, empty, or longer than 200 characters.';

-- Asserts what may be a claim code, or anything else that was scanned.
create or replace function coupon.check_claim_code(claim_code text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if check_claim_code.claim_code is null then
    perform coupon.refuse_argument('claim_code', 'must not be null');
  elsif length(check_claim_code.claim_code) not between 1 and 200 then
    perform coupon.refuse_argument('claim_code', 'must have 1 to 200 characters');
  end if;
end
$$;

comment on function coupon.check_claim_code(text) is
  'Refuses null, nothing, and more than 200 characters. Anything else is a claim code or is not found.';

-- The grant that a claim code is for. What is no code at all, what no secret in use has made and what belongs to no grant
-- costs the same: one permutation and one look into the index.
create or replace function coupon.find_claim(claim_code text)
returns coupon.user_coupons
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_code text := translate(
    upper(regexp_replace(find_claim.claim_code collate "C", '[^0-9A-Za-z]', '', 'g')), 'ILO', '110');
  v_number bigint := 0;
  v_digit integer;
  v_is_code boolean := length(v_code) = 12;
  v_key bytea;
  v_claim bigint;
  v_grant coupon.user_coupons;
begin
  for v_place in 1..11 loop
    v_digit := strpos('0123456789ABCDEFGHJKMNPQRSTVWXYZ', substr(v_code, v_place, 1)) - 1;
    v_is_code := v_is_code and v_digit >= 0;
    v_number := (v_number << 5) | (v_digit & 31);
  end loop;
  v_is_code := v_is_code and substr('0123456789ABCDEFGHJKMNPQRSTVWXYZU', (v_number % 33)::integer + 1, 1) = substr(v_code, 12);

  select s.key into v_key from coupon.claim_secrets s where s.id % 2 = v_number >> 54 and s.key is not null;
  v_is_code := v_is_code and v_key is not null;
  v_claim := coupon.mix_claim(coalesce(v_key, ''), v_number & 18014398509481983, true); -- 2^54 - 1

  select g.* into v_grant
  from coupon.user_coupons g
  where coupon.position_key(g.coupon_id, g.position)
    = coupon.position_key(v_claim >> 27, (v_claim & 134217727)::integer);
  return case when v_is_code then v_grant end;
end
$$;

comment on function coupon.find_claim(text) is
  'The grant with this claim code, as a person reads it out: in upper or lower case, I and L for 1, O for 0, and anything that
is no letter and no digit where it likes. Null if there is none.';

-- The claim code of a grant. Nothing is stored for it: its coupon and position, 27 bits each, are mixed with a secret, and
-- written with a bit for the secret as 11 characters of Crockford's base 32. So nothing but the number of possible codes keeps
-- a guess out: one in 2^54 = 1.8 * 10^16 for each grant.
--
-- The twelfth character is for typing errors and no secret: the number modulo 33, U for 32. It finds any one wrong character
-- and any two neighbours that have changed places: 32 is -1 modulo 33, and no character is 33 from another.
create or replace function coupon.claim_code(secret_id integer, key bytea, coupon_id bigint, "position" integer)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_digits constant text := '0123456789ABCDEFGHJKMNPQRSTVWXYZU';
  n bigint; -- of so many characters that it has a short name
begin
  if claim_code.key is null or claim_code.coupon_id >= 134217728 then
    return null;
  end if;
  n := ((claim_code.secret_id & 1)::bigint << 54)
    | coupon.mix_claim(claim_code.key, (claim_code.coupon_id << 27) | claim_code.position, false);
  return
    substr(v_digits, (n >> 50)::integer + 1, 1) || substr(v_digits, ((n >> 45) & 31)::integer + 1, 1)
    || substr(v_digits, ((n >> 40) & 31)::integer + 1, 1) || substr(v_digits, ((n >> 35) & 31)::integer + 1, 1)
    || '-'
    || substr(v_digits, ((n >> 30) & 31)::integer + 1, 1) || substr(v_digits, ((n >> 25) & 31)::integer + 1, 1)
    || substr(v_digits, ((n >> 20) & 31)::integer + 1, 1) || substr(v_digits, ((n >> 15) & 31)::integer + 1, 1)
    || '-'
    || substr(v_digits, ((n >> 10) & 31)::integer + 1, 1) || substr(v_digits, ((n >> 5) & 31)::integer + 1, 1)
    || substr(v_digits, (n & 31)::integer + 1, 1) || substr(v_digits, (n % 33)::integer + 1, 1);
end
$$;

comment on function coupon.claim_code(integer, bytea, bigint, integer) is
  'The code by which a grant can be used at a till, like 7K3M-PX2A-9QTD. Null without a secret, and for a coupon whose id is
2^27 or more.';

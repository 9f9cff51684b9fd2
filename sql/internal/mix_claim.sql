-- The permutation of 54 bits that claim codes are made by: a Feistel network (Luby and Rackoff, 1988) of six rounds with
-- two halves of 27 bits. Six rounds look random to whoever knows up to some 2^27 codes (Patarin, 2004), whatever it computes.
--
-- A round changes one half by the SHA-256 of the key, the round and the other half. HMAC would be SHA-256 twice: it is for
-- messages of any length, to which something could be added. These have 40 bytes, which are one block.
create or replace function coupon.mix_claim(key bytea, number bigint, is_back boolean)
returns bigint
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_left bigint := mix_claim.number >> 27;
  v_right bigint := mix_claim.number & 134217727; -- 2^27 - 1
  v_kept bigint;
  v_digest bytea;
begin
  for v_round in 1..6 loop
    v_digest := sha256(mix_claim.key
      || int8send((abs(mix_claim.is_back::integer * 7 - v_round)::bigint << 27) + v_right));
    v_kept := v_right;
    v_right := v_left # ((get_byte(v_digest, 0) << 19) | (get_byte(v_digest, 1) << 11)
      | (get_byte(v_digest, 2) << 3) | (get_byte(v_digest, 3) >> 5));
    v_left := v_kept;
  end loop;
  -- The halves change places, so that the same rounds, from the last to the first, lead back.
  return (v_right << 27) | v_left;
end
$$;

comment on function coupon.mix_claim(bytea, bigint, boolean) is
  'A number of 54 bits as another one that only who has the key (32 bytes) can tell; is_back: the first one of the other.';

-- How many of a coupon's grants were issued before an instant, without counting them: positions have no gaps and
-- issued_at rises with them, so some 20 probes of the position's index find the last one before it, among a million.
create or replace function coupon.issued_before(
  coupon_id bigint,
  instant timestamptz,
  at_least integer,
  at_most integer
)
returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_low integer := at_least;
  v_high integer := at_most;
  v_middle integer;
  v_issued_at timestamptz;
begin
  while v_low < v_high loop
    v_middle := v_high - (v_high - v_low) / 2;
    select g.issued_at into v_issued_at
    from coupon.user_coupons g
    where coupon.position_key(g.coupon_id, g.position) = coupon.position_key(issued_before.coupon_id, v_middle);
    if v_issued_at < issued_before.instant then
      v_low := v_middle;
    else
      v_high := v_middle - 1;
    end if;
  end loop;
  return v_low;
end
$$;

comment on function coupon.issued_before(bigint, timestamptz, integer, integer) is
  'The number of the coupon''s grants before the instant, known to lie between at_least and at_most: a binary search by
position. Where the server''s clock was once set back, grants of that moment may count to its neighbour.';

-- The one translation from the table's row to what callers see.
create or replace function coupon.describe_coupon(coupon coupon.coupons, at timestamptz, asked bigint default null)
returns public.coupon_offer
language sql
immutable
parallel safe
return row(
  (describe_coupon.coupon).id,
  (describe_coupon.coupon).code,
  (describe_coupon.coupon).message,
  (describe_coupon.coupon).description,
  (describe_coupon.coupon).start_time,
  (describe_coupon.coupon).eligible_from,
  (describe_coupon.coupon).expiry,
  (describe_coupon.coupon).count,
  (describe_coupon.coupon).issued,
  (describe_coupon.coupon).count - (describe_coupon.coupon).issued,
  (describe_coupon.coupon).issued = (describe_coupon.coupon).count,
  (describe_coupon.coupon).sold_out_at,
  (describe_coupon.coupon).sold_out_at - coupon.first_start(describe_coupon.coupon),
  (describe_coupon.coupon).paused,
  case when describe_coupon.at < (describe_coupon.coupon).start_time
    then (describe_coupon.coupon).start_time - describe_coupon.at end,
  (describe_coupon.coupon).metadata,
  describe_coupon.asked,
  describe_coupon.at
)::public.coupon_offer;

comment on function coupon.describe_coupon(coupon.coupons, timestamptz, bigint) is
  'The coupon as callers see it at that instant.';

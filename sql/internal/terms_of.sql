-- What a coupon was that is deleted, as the audit keeps it. Where there is no group, none is named.
create or replace function coupon.terms_of(coupon coupon.coupons)
returns jsonb
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
set timezone = 'UTC' -- of the times
return jsonb_build_object(
  'code', (terms_of.coupon).code,
  'message', (terms_of.coupon).message,
  'description', (terms_of.coupon).description,
  'start_time', (terms_of.coupon).start_time,
  'expiry', (terms_of.coupon).expiry,
  'count', (terms_of.coupon).count,
  'metadata', (terms_of.coupon).metadata
) || jsonb_strip_nulls(jsonb_build_object(
  'eligible_group', (terms_of.coupon).eligible_group,
  'eligible_from', (terms_of.coupon).eligible_from
));

comment on function coupon.terms_of(coupon.coupons) is
  'What the coupon offers, to whom and when; its group only if it has one.';

-- From when somebody can have the coupon: its group's members, if it has a group, else everybody.
create or replace function coupon.first_start(coupon coupon.coupons)
returns timestamptz
language sql
immutable
parallel safe
return coalesce((first_start.coupon).eligible_from, (first_start.coupon).start_time);

comment on function coupon.first_start(coupon.coupons) is
  'eligible_from, or start_time where no group may have it before.';

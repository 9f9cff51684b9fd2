-- Whether a coupon can be had for less than a minute from here on: more likely a slip than a plan.
create or replace function coupon.is_short_lived(start_time timestamptz, expiry timestamptz, at timestamptz)
returns boolean
language sql
immutable
parallel safe
return is_short_lived.expiry < greatest(is_short_lived.start_time, is_short_lived.at) + interval '1 minute';

comment on function coupon.is_short_lived(timestamptz, timestamptz, timestamptz) is
  'Whether less than a minute is left until expiry, counted from that instant or from a later start_time.';

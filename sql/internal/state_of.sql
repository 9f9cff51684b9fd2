-- The state of a coupon as operators see it: why it can't be issued to anybody, or live.
create or replace function coupon.state_of(coupon coupon.coupons, at timestamptz)
returns public.coupon_state
language sql
immutable
parallel safe
return case coupon.common_refusal(state_of.coupon, state_of.at)
  when 'not_started' then 'upcoming'::public.coupon_state
  when 'ended' then 'ended'
  when 'paused' then 'paused'
  when 'sold_out' then 'sold_out'
  else 'live'
end;

comment on function coupon.state_of(coupon.coupons, timestamptz) is
  'upcoming, ended, paused, sold_out or live at that instant: the one way from a common refusal to a state.';

-- The state of a coupon as operators see it: why it can't be issued to everybody, or live.
create or replace function coupon.state_of(coupon coupon.coupons, at timestamptz)
returns public.coupon_state
language sql
immutable
parallel safe
return case
  when state_of.at < (state_of.coupon).start_time then 'upcoming'::public.coupon_state
  else case coupon.common_refusal(state_of.coupon, state_of.at)
    when 'ended' then 'ended'::public.coupon_state
    when 'paused' then 'paused'
    when 'sold_out' then 'sold_out'
    else 'live'
  end
end;

comment on function coupon.state_of(coupon.coupons, timestamptz) is
  'upcoming (until start_time, also while its group may have it), ended, paused, sold_out or live at that instant: the one
way from a common refusal to a state.';

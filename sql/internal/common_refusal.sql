-- Rules 1, 2 and pausing, as they hold for every user who doesn't hold the coupon yet: the one place that says when a
-- coupon can't be issued. Null: it can, before start_time to its group's members only. (A cast of the whole would not be
-- immutable, and then PostgreSQL inlines no call.)
create or replace function coupon.common_refusal(coupon coupon.coupons, at timestamptz)
returns public.issue_coupon_outcome
language sql
immutable
parallel safe
return case
  when common_refusal.at < coupon.first_start(common_refusal.coupon) then 'not_started'
  when common_refusal.at < (common_refusal.coupon).start_time then null::public.issue_coupon_outcome
  when common_refusal.at >= (common_refusal.coupon).expiry then 'ended'
  when (common_refusal.coupon).paused then 'paused'
  when (common_refusal.coupon).issued >= (common_refusal.coupon).count then 'sold_out'
  else null
end;

comment on function coupon.common_refusal(coupon.coupons, timestamptz) is
  'not_started, ended, paused or sold_out at that instant, else null: can be issued to somebody.';

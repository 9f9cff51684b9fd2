-- The textbook's way to issue: one call a request, the coupon's row locked by `select … for update`. On tables with the
-- same indexes and checks as ours, and with foreign keys instead of our triggers.
create function textbook.issue(user_id bigint, coupon_id bigint)
returns table (outcome text, "position" integer, issued_on date, issued_at timestamptz)
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_coupon textbook.coupons;
  v_now timestamptz;
  v_today date;
begin
  select c.* into v_coupon from textbook.coupons c where c.id = issue.coupon_id for update;
  v_now := clock_timestamp();
  v_today := (v_now at time zone v_coupon.time_zone)::date;

  outcome := case
    when v_coupon.id is null then 'coupon_not_found'
    when v_now < v_coupon.start_time then 'not_started'
    when v_now >= v_coupon.expiry then 'ended'
    when v_coupon.issued = v_coupon.count then 'sold_out'
  end;
  if outcome is null and exists (
    select from textbook.user_coupons g where g.issued_on = v_today and g.user_id = issue.user_id)
  then
    outcome := 'daily_limit_reached';
  end if;
  if outcome is not null then
    return next;
    return;
  end if;

  insert into textbook.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position)
  values (issue.user_id, issue.coupon_id, v_now, v_coupon.expiry, v_today, v_coupon.issued + 1);
  update textbook.coupons c
  set issued = c.issued + 1, sold_out_at = case when c.issued + 1 = c.count then v_now end
  where c.id = issue.coupon_id;

  outcome := 'issued';
  "position" := v_coupon.issued + 1;
  issued_on := v_today;
  issued_at := v_now;
  return next;
end
$$;

-- Issues one unit of a coupon to a user: issue_coupons() for one. coupon_not_found · already_issued
-- · not_started · ended · paused · sold_out · user_not_found · daily_limit_reached · issued.
create or replace function public.issue_coupon(user_id bigint, coupon_id bigint)
returns table (
  outcome public.issue_coupon_outcome,
  "position" integer,
  issued_on date,
  issued_at timestamptz,
  starts_in interval,
  sold_out_at timestamptz,
  time_to_sell_out interval
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if issue_coupon.user_id is null then
    perform coupon.refuse_argument('user_id', 'must not be null');
  end if;

  return query
  select i.outcome, i.position, i.issued_on, i.issued_at, i.starts_in, i.sold_out_at, i.time_to_sell_out
  from public.issue_coupons(issue_coupon.coupon_id, array[issue_coupon.user_id]) i;
end
$$;

comment on function public.issue_coupon(bigint, bigint) is
  'Issues one unit of the coupon to the user, first come, first served. Outcomes in order: coupon_not_found,
already_issued (the user holds it: same position, whenever asked), not_started (starts_in says how long), ended,
paused, sold_out (sold_out_at says since when, time_to_sell_out how long after its start), user_not_found,
daily_limit_reached (one coupon a user and day), issued. A refusal is a row, never an error. Ask again as often as you like: the answer stays right.';

-- How many requests there were for a coupon: its grants, and what else the servers answered.
create or replace function coupon.asked_for(coupon coupon.coupons)
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  select (asked_for.coupon).issued + coalesce(sum(d.refused + d.replayed), 0)::bigint
  from coupon.demand d
  where d.coupon_id = (asked_for.coupon).id
$$;

comment on function coupon.asked_for(coupon.coupons) is
  'Requests for the coupon that were answered: grants, refusals and replays. Requests, not people. Refusals and replays come
from the servers a second or two later, and never from psql.';

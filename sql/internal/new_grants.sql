-- Which grants are committed and not in coupon.events yet. Positions have no gaps and follow coupons.issued, so two numbers
-- of a coupon say it.
--
-- Of coupons that ended a month before the last gathering all grants are there, if the clock is wrong by less than that.
--
-- Stable, so that it sees what the statement sees that calls it: a volatile function would see what was committed since, too.
create or replace function coupon.new_grants()
returns table (coupon_id bigint, first_position integer, last_position integer, count integer)
language sql
stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
  select c.id, coalesce(l.last_position, 0) + 1, c.issued, c.count
  from coupon.coupons c
  left join lateral (
    select e.last_position
    from coupon.events e
    where e.coupon_id = c.id and e.last_position is not null
    order by e.last_position desc
    limit 1
  ) l on true
  where c.expiry > (select g.gathered_at - interval '32 days' from coupon.gathered g)
    and c.issued > coalesce(l.last_position, 0)
$$;

comment on function coupon.new_grants() is
  'The coupons with grants that are not in coupon.events yet, the first and the last position of these, and the coupon''s count.';

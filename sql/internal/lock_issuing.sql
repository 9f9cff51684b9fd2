-- Waits until this transaction alone issues, or alone changes what issuing depends on; released when its commit is
-- durable and visible.
--
-- One lock for all coupons: batches of two coupons can't meet on a user's day, so no batch loses a row that it planned
-- and positions have no gaps. The coupon's row is locked as well: it holds off a change by hand, and it serialises one
-- coupon where advisory locks are local (a cluster of nodes); a race that is left there ends at a constraint.
--
-- Lock order: the lock of a coupon's leases (which coupon_lease() only tries), coupon.settings'
-- row, this advisory lock, the coupon's row, rows of coupon.user_coupons. An update by hand has the
-- coupon's row before the lock of its leases: against a command on the same coupon it may deadlock,
-- and one of the two is undone (40P01; from a server 503, ask again).
create or replace function coupon.lock_issuing(coupon_id bigint)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_xact_lock(coupon.lock_key());
  perform from coupon.coupons c where c.id = lock_issuing.coupon_id for no key update;
end
$$;

comment on function coupon.lock_issuing(bigint) is
  'Waits until this transaction alone issues coupons. What it is to see it must read in a later statement.';

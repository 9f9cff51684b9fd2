-- Waits until this transaction alone issues, or alone changes what issuing depends on; released when its commit is
-- durable and visible.
--
-- One lock for all coupons: batches of two coupons can't meet on a user's day, so no batch loses a row that it planned
-- and positions have no gaps. It is the lock of an empty table and no advisory lock: any login of the database may take
-- those. The coupon's row is locked as well, and returned: that holds off a change by hand. A race that
-- is left ends at a constraint.
--
-- Lock order: the coupon's row in coupon.leases, coupon.forgotten_users, rows of coupon.users, coupon.settings' row,
-- coupon.issuing, the coupon's row, rows of coupon.user_coupons. An update by hand has the coupon's row before the one in
-- coupon.leases: against a command on the same coupon it may deadlock, and one of the two is undone (40P01; from a server
-- 503, ask again).
create or replace function coupon.lock_issuing(coupon_id bigint)
returns coupon.coupons
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_coupon coupon.coupons;
begin
  lock table coupon.issuing in exclusive mode;
  select c.* into v_coupon from coupon.coupons c where c.id = lock_issuing.coupon_id for no key update;
  return v_coupon;
end
$$;

comment on function coupon.lock_issuing(bigint) is
  'Waits until this transaction alone issues coupons, and alone changes this one (null: none of them), which it returns as it
then is. What else it is to see it must read in a later statement.';

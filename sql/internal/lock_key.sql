-- The one place that knows the number: any, and no other program on this database may use it or those that follow.
create or replace function coupon.lock_key()
returns bigint
language sql
immutable
parallel safe
return 4850179452613152;

comment on function coupon.lock_key() is
  'The advisory lock of issuing. This plus a coupon''s id is the lock of its leases.';

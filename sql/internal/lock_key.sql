-- The one place that knows the number: any, and no other program on this database may use it or those beside it.
create or replace function coupon.lock_key()
returns bigint
language sql
immutable
parallel safe
return 4850179452613152;

comment on function coupon.lock_key() is
  'The key of the advisory lock of issuing. The key for the leases of a coupon is its negative, xor
the coupon''s id: no id makes that overflow, and no id from 0 on makes it the key of issuing.';

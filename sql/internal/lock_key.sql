-- The one place that knows the number: any, and no other program on this database may use it or those beside it.
create or replace function coupon.lock_key()
returns bigint
language sql
immutable
parallel safe
return 4850179452613152;

comment on function coupon.lock_key() is
  'The advisory lock of issuing. Its negative, xor a coupon''s id, is the lock of that coupon''s leases: no id overflows it, and none of 0
and above is the lock of issuing.';

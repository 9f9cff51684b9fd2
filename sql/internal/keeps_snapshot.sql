-- Whether this transaction goes on seeing what its first statement saw. What it reads after a wait may then be over, and only the
-- lock of a row that was changed since finds that out (40001).
create or replace function coupon.keeps_snapshot()
returns boolean
language sql
stable
return current_setting('transaction_isolation') in ('repeatable read', 'serializable');

comment on function coupon.keeps_snapshot() is
  'Whether the transaction is at REPEATABLE READ or SERIALIZABLE, and so does not see what others have done since it began.';

-- What stands where forget_user() has taken words out. The guards ask it as well (in the migrations).
create or replace function coupon.forgotten()
returns text
language sql
immutable
parallel safe
return '(forgotten)';

comment on function coupon.forgotten() is
  'What stands in place of the words of a person whom forget_user() removed.';

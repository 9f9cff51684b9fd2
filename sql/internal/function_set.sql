-- Which set of functions this is. Set-up of an older release leaves a newer set alone.
--
-- Any change of a file that manifest.txt names, or of roles.sql, is another set: raise the number by
-- one, and put here the digest that db/function-set.test.ts tells.
-- digest: 860767ed3c533f76c6b5935a95b095350e434b21422e0580a131ad94a41efe83
create or replace function coupon.function_set()
returns integer
language sql
immutable
parallel safe
return 1;

comment on function coupon.function_set() is
  'The number of the set that the functions, their rights and the roles are of: it rises with every
change. Set-up loads its own set over an older one or the same one, and never over a newer one.';

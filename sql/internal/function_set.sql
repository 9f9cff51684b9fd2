-- Which set of functions this is. Set-up of an older release leaves a newer set alone.
--
-- Any change of a file that manifest.txt names, or of roles.sql, is another set: raise the number by
-- one, and put here the digest that db/function-set.test.ts tells.
-- digest: b0f4f115c30a7879ce2ce2087f0f423b8bf3a86580f6d82728269271efae913a
create or replace function coupon.function_set()
returns integer
language sql
immutable
parallel safe
return 1;

comment on function coupon.function_set() is
  'The number of the set that the functions, their rights and the roles are of: it rises with every
change. Set-up loads its own set over an older one or the same one, and never over a newer one.';

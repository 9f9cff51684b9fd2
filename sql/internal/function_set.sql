-- Which set of functions this is. Set-up of an older release leaves a newer set alone.
--
-- Any change of a file that manifest.txt names, or of roles.sql, is another set: raise the number by
-- one, and put here the digest that db/function-set.test.ts tells.
-- digest: 2190796ca1ef1a2cd42d3b43546081900517534349779899c3cf34b42e09380f
create or replace function coupon.function_set()
returns integer
language sql
immutable
parallel safe
return 1;

comment on function coupon.function_set() is
  'The number of the set that the functions, their rights and the roles are of: it rises with every
change. Set-up loads its own set over an older one or the same one, and never over a newer one.';

-- The keys that there are and were, the newest first.
create or replace function public.list_keys()
returns setof coupon.keys
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  select k.*
  from coupon.keys k
  order by k.created_at desc, k.id
$$;

comment on function public.list_keys() is
  'The tokens that record_key() noted, and those that revoke_key() ended, the newest first: whose, what they may do, until when, and since
when they are revoked. No row has a token.';

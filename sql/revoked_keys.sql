-- The ids of keys that are revoked and would still be good otherwise: each server asks several times a minute.
create or replace function public.revoked_keys()
returns table (key_id text)
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  select k.id
  from coupon.keys k
  where k.revoked_at is not null and coalesce(k.expires_at > clock_timestamp() - interval '1 day', true)
$$;

comment on function public.revoked_keys() is
  'The ids of tokens that servers must not take though they have not expired, or not a day ago: clocks differ. Those of which nothing was
recorded are in it for ever.';

-- The ids of keys that are revoked and may still be good otherwise: each server asks several times a minute.
--
-- The end that was recorded is what somebody said, not what the token says. So an id stays for 366 days, the longest
-- that ./sd token signs for.
create or replace function public.revoked_keys()
returns table (key_id text)
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  select k.id
  from coupon.keys k
  where k.revoked_at is not null and (
    k.expires_at is null
    or k.expires_at > clock_timestamp() - interval '1 day'
    or k.revoked_at > clock_timestamp() - interval '366 days')
$$;

comment on function public.revoked_keys() is
  'The ids of tokens that servers must not take though they have not expired, or not a day ago: clocks differ. Each is in it for 366
days after it was revoked, and those of which nothing was recorded for ever.';

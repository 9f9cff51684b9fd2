-- Which secrets of claim codes there are and were, the newest first; never what they are.
create or replace function public.claim_secrets()
returns table (secret_id integer, created_at timestamptz, retired_at timestamptz)
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  select s.id, s.created_at, s.retired_at from coupon.claim_secrets s order by s.id desc
$$;

comment on function public.claim_secrets() is
  'The secrets that claim codes are made of, newest first, without their keys. The newest makes the codes; the codes of the
one before it are found until it is retired.';

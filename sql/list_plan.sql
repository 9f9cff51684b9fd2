-- The plan: what each weekday offers.
create or replace function public.list_plan()
returns table (
  weekday smallint,
  slot smallint,
  code_pattern text,
  message text,
  description text,
  local_start time,
  local_expiry time,
  expiry_days smallint,
  count integer,
  metadata jsonb
)
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  select
    p.weekday, p.slot, p.code_pattern, p.message, p.description, p.local_start, p.local_expiry, p.expiry_days, p.count,
    p.metadata
  from coupon.plan p
  order by p.weekday, p.slot
$$;

comment on function public.list_plan() is
  'All entries of the plan, at most 21, by weekday (1 is Monday) and slot. preview_days() says what becomes of them.';

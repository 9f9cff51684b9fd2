-- All coupons, past ones too, a page at a time, the last one to start first: those of a state, that start within a range of
-- time, or whose code begins like this. No two coupons start together, so the start is the key to page by: a coupon that
-- stays where it is comes once, whatever is created, moved or deleted between two pages.
--
-- Planned for each call, so that a page is a range of an index: of start_time, of expiry for what is on offer, or of
-- lower(code). All characters of a code sort before "~", whatever the database's locale (collate "C").
create or replace function public.list_coupons(
  state public.coupon_state default null,
  since timestamptz default null,
  before timestamptz default null,
  code_prefix text default null,
  page_size integer default 100
)
returns setof public.listed_coupon
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_custom_plan
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_prefix text collate "C" := nullif(lower(list_coupons.code_prefix collate "C"), '');
begin
  if list_coupons.page_size is null or list_coupons.page_size not between 1 and 1000 then
    perform coupon.refuse_argument('page_size', 'must lie between 1 and 1000');
  end if;

  return query
  select
    coupon.state_of(c, v_now), c.id, c.code, c.message, c.description, c.start_time, c.eligible_group,
    c.eligible_from, c.expiry, c.live_on, c.slot, c.count, c.issued, c.count - c.issued, c.paused, c.metadata
  from coupon.coupons c
  where (list_coupons.since is null or c.start_time >= list_coupons.since)
    and (list_coupons.before is null or c.start_time < list_coupons.before)
    and (v_prefix is null or (lower(c.code) >= v_prefix and lower(c.code) < v_prefix || '~'))
    -- What a state says of the times, for the indexes; then the state itself.
    and (list_coupons.state is null or list_coupons.state = 'upcoming' or c.start_time <= v_now)
    and (list_coupons.state is null or list_coupons.state <> 'upcoming' or c.start_time > v_now)
    and (list_coupons.state is null or list_coupons.state in ('upcoming', 'ended') or c.expiry > v_now)
    and (list_coupons.state is null or coupon.state_of(c, v_now) = list_coupons.state)
  order by c.start_time desc
  limit list_coupons.page_size;
end
$$;

comment on function public.list_coupons(public.coupon_state, timestamptz, timestamptz, text, integer) is
  'Coupons, past ones too, the last one to start first, at most page_size (1 to 1000) of them: in this state, that start
from since on and before before, whose code begins with code_prefix, whatever its case: list_coupons(''ended''),
list_coupons(code_prefix => ''LUNCH-''). What is not given does not matter. For the next page give the last start_time as
before. % and _ in a prefix mean themselves.';

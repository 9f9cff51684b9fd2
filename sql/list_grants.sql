-- Who holds a coupon, in the order in which it was issued, a page at a time: an export while it drops, or after it.
create or replace function public.list_grants(
  coupon_id bigint,
  after integer default 0,
  page_size integer default 1000
)
returns table (
  "position" integer,
  user_id bigint,
  issued_on date,
  issued_at timestamptz,
  used_date timestamptz,
  use_reference text
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('coupon_id', list_grants.coupon_id is null, 'must not be null'),
    ('after', list_grants.after is null, 'must not be null'),
    ('after', list_grants.after not between 0 and 100000000, 'must lie between 0 and 100000000'),
    ('page_size', coalesce(list_grants.page_size not between 1 and 10000, true),
      'must lie between 1 and 10000')
  ) a (name, is_bad, why)
  where a.is_bad;

  -- Positions have no gaps, so the page is these and no others, whatever the plan: 2^27 of them belong to each coupon.
  return query
  select g.position, g.user_id, g.issued_on, g.issued_at, g.used_date, g.use_reference
  from coupon.coupons c
  join coupon.user_coupons g
    on coupon.position_key(g.coupon_id, g.position) > coupon.position_key(c.id, list_grants.after)
    and coupon.position_key(g.coupon_id, g.position)
      <= coupon.position_key(c.id, list_grants.after + list_grants.page_size)
  where c.id = list_grants.coupon_id
  order by g.position;
end
$$;

comment on function public.list_grants(bigint, integer, integer) is
  'The coupon''s next page_size (1 to 10000) grants by position; for the next page give the last
position as after. No row: no such coupon, or no more grants.';

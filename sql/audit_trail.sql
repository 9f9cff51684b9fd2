-- Who changed what, when and why, the newest first: everything, or a coupon's, a user's uses, what
-- came since an instant.
--
-- Planned for each call, so that each of these is a range of an index in that order: a page costs the same however long
-- the audit is. With a bitmap all rows of a coupon would be read and sorted.
create or replace function public.audit_trail(
  coupon_id bigint default null,
  user_id bigint default null,
  since timestamptz default null,
  before bigint default null,
  page_size integer default 100
)
returns setof coupon.audit
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_custom_plan
as $$
declare
  v_before_at timestamptz;
begin
  if audit_trail.page_size is null or audit_trail.page_size not between 1 and 1000 then
    perform coupon.refuse_argument('page_size', 'must lie between 1 and 1000');
  end if;
  if audit_trail.before is not null then
    select a.at into v_before_at from coupon.audit a where a.id = audit_trail.before;
    if not found then
      perform coupon.refuse_argument('before', 'must be an id of the audit');
    end if;
  end if;

  return query
  select a.*
  from coupon.audit a
  where (audit_trail.coupon_id is null or a.coupon_id = audit_trail.coupon_id)
    and (audit_trail.user_id is null or a.user_id = audit_trail.user_id)
    and (audit_trail.since is null or a.at >= audit_trail.since)
    and (audit_trail.before is null or (a.at, a.id) < (v_before_at, audit_trail.before))
  order by a.at desc, a.id desc
  limit audit_trail.page_size;
end
$$;

comment on function public.audit_trail(bigint, bigint, timestamptz, bigint, integer) is
  'Who changed what, when and why, newest first, at most page_size (1 to 1000) rows: audit_trail(coupon_id => 7),
audit_trail(since => now() - interval ''1 hour''). For the next page give the last id as before. Issuing is not in it:
a grant is its own record.';

-- Lets a server repeat the refusals of many coupons without asking. coupon_not_found · not_leased · leased. Waits for
-- nobody. Only the first lease since a coupon's last change is written, durably.
--
-- Why a refusal may be repeated for a second: who changes the coupon locks its row in coupon.leases first, and waits for
-- a second then (coupon.outlive_leases). If somebody has that row already there is no lease. If somebody takes it after
-- the look here, the change commits a second later, and the server counts from before it asked.
--
-- enable_nestloop is off and the plans are generic for the reasons that issue_coupons() gives.
create or replace function public.coupon_leases(
  coupon_ids bigint[],
  known_positions integer[] default null,
  known_issued_ats timestamptz[] default null,
  only_leased boolean default false
)
returns table (
  outcome public.coupon_leases_outcome,
  coupon_id bigint,
  refusal public.issue_coupon_outcome,
  valid_for interval,
  starts_in interval,
  sold_out_at timestamptz,
  time_to_sell_out interval,
  issued integer,
  last_issued_at timestamptz,
  holders_after integer,
  holders bigint[]
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_nestloop = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz;
  v_found bigint[];
  v_refused bigint[];
  v_refusals public.issue_coupon_outcome[];
  v_refused_anyway boolean[];
  v_is_issuing boolean;
  v_awaited tid[];
  v_locked bigint[];
  v_leases record;
  v_marked bigint[];
begin
  -- 1. Assert the arguments.
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('coupon_ids', coupon_leases.coupon_ids is null, 'must not be null'),
    ('coupon_ids', array_ndims(coupon_leases.coupon_ids) > 1, 'must have one dimension'),
    ('coupon_ids', cardinality(coupon_leases.coupon_ids) > 1000, 'must have at most 1000 elements'),
    ('coupon_ids', array_position(coupon_leases.coupon_ids, null) is not null, 'must not contain null'),
    ('known_positions', cardinality(coupon_leases.known_positions) <> cardinality(coupon_leases.coupon_ids),
      'must have as many elements as coupon_ids'),
    ('known_positions', 0 > any (coupon_leases.known_positions), 'must not be below 0'),
    ('known_issued_ats', cardinality(coupon_leases.known_issued_ats) <> cardinality(coupon_leases.coupon_ids),
      'must have as many elements as coupon_ids'),
    ('only_leased', coupon_leases.only_leased is null, 'must not be null')
  ) a (name, is_bad, why)
  where a.is_bad;
  -- If nothing but the lock of a row is written, its loss is none. Who has written before in this transaction decides for it.
  if pg_current_xact_id_if_assigned() is null then
    perform set_config('synchronous_commit', 'off', true);
  end if;

  -- 2. Which are refused for everybody?
  v_now := clock_timestamp();
  select
    array_agg(c.id),
    array_agg(c.id) filter (where c.refusal is not null and c.issued <= 100000),
    array_agg(c.refusal) filter (where c.refusal is not null and c.issued <= 100000),
    array_agg(c.is_refused_anyway) filter (where c.refusal is not null and c.issued <= 100000)
  into v_found, v_refused, v_refusals, v_refused_anyway
  from (
    select
      c.id, c.issued, coupon.common_refusal(c, v_now) as refusal,
      coupon.common_refusal(c, least(v_now, c.expiry - interval '1 microsecond')) is not null as is_refused_anyway
    from coupon.coupons c
    where c.id = any (coupon_leases.coupon_ids)
  ) c;
  -- A grant from just before expiry may be under way. Of a coupon that was refused then, too, none can be: who would grant it
  -- has changed its row, and has that in coupon.leases. And PostgreSQL lets us share the lock of a row for which somebody
  -- waits: without a look at who waits, many servers could put a change off for ever.
  select
    coalesce(bool_or(l.relation = 'coupon.issuing'::regclass and l.mode = 'ExclusiveLock' and l.granted), false),
    array_agg(format('(%s,%s)', l.page, l.tuple)::tid) filter (where l.locktype = 'tuple')
  into v_is_issuing, v_awaited
  from pg_locks l
  where l.relation in ('coupon.issuing'::regclass, 'coupon.leases'::regclass)
    and l.database = (select d.oid from pg_database d where d.datname = current_database());

  -- 3. Which of these does nobody change, or wait to?
  v_locked := array(
    select l.coupon_id
    from unnest(v_refused, v_refused_anyway) r (coupon_id, is_refused_anyway)
    join coupon.leases l on l.coupon_id = r.coupon_id
    where l.coupon_id = any (v_refused) and (l.is_leased or not coupon_leases.only_leased)
      and (r.is_refused_anyway or not v_is_issuing) and l.ctid <> all (coalesce(v_awaited, '{}'))
    for key share of l skip locked);

  -- 4. Look again, as somebody may have changed them before step 3. Another refusal than before may have come with
  -- grants that are not visible yet. What the server knows is true of this database if it has the last grant that the
  -- server knows. Another database may answer now: after a failover that lost grants, or a restore. To read 100,000
  -- holders takes a tenth of a second: whichever coupon would be beyond that, those with most holders first, has no
  -- lease this time.
  v_now := clock_timestamp();
  select
    array_agg(a.place) as places, array_agg(a.id) as coupon_ids, array_agg(a.refusal) as refusals,
    array_agg(least(interval '1 second', case
      when a.refusal = 'not_started' then a.first_start - v_now
      when a.refusal <> 'ended' then a.expiry - v_now end)) as valid_fors,
    array_agg(case when a.refusal = 'not_started' then a.start_time - v_now end) as starts_ins,
    array_agg(case when a.refusal = 'sold_out' then a.sold_out_at end) as sold_out_ats,
    array_agg(case when a.refusal = 'sold_out' then a.sold_out_at - a.first_start end) as times_to_sell_out,
    array_agg(a.issued) as issueds, array_agg(a.after) as afters
  into v_leases
  from (
    select
      q.place, c.id, r.refusal, c.start_time, c.first_start, c.expiry, c.sold_out_at, c.issued, h.after,
      sum(c.issued - h.after) over (order by c.issued - h.after, q.place) as holders
    from unnest(coupon_leases.coupon_ids, coupon_leases.known_positions, coupon_leases.known_issued_ats)
      with ordinality q (coupon_id, known_position, known_issued_at, place)
    join (
      select
        c.id, c.start_time, coupon.first_start(c) as first_start, c.expiry, c.sold_out_at, c.issued,
        coupon.common_refusal(c, v_now) as refusal
      from coupon.coupons c
      where c.id = any (v_locked)
    ) c on c.id = q.coupon_id
    join unnest(v_refused, v_refusals) r (coupon_id, refusal) on r.coupon_id = c.id and r.refusal = c.refusal
    cross join lateral (
      select coalesce((
        select g.position
        from coupon.user_coupons g
        where coupon.position_key(g.coupon_id, g.position) = coupon.position_key(c.id, q.known_position)
          and g.issued_at = q.known_issued_at), 0)
    ) h (after)
  ) a
  where a.holders <= 100000;

  -- 5. Write, if it is the first lease of one of them. What another call is about to write has no lease this time.
  if exists (
    select from coupon.leases l where l.coupon_id = any (v_leases.coupon_ids) and not l.is_leased)
  then
    perform coupon.commit_durably();
    update coupon.leases l set is_leased = true
    where l.coupon_id = any (array(
      select f.coupon_id
      from coupon.leases f
      where f.coupon_id = any (v_leases.coupon_ids) and not f.is_leased
      for no key update skip locked));
  end if;
  v_marked := array(
    select l.coupon_id from coupon.leases l where l.coupon_id = any (v_leases.coupon_ids) and l.is_leased);

  -- A server that is told of grants which it does not know waits until the standbys have them, as for a refusal by issue_coupons(). One
  -- that goes on with what it knows waits for nothing.
  if exists (select from unnest(v_leases.issueds, v_leases.afters) l (issued, after) where l.issued > l.after) then
    perform coupon.fence_replay();
  end if;

  -- 6. Answer each question.
  return query
  select
    case when f.coupon_id is null then 'coupon_not_found' when m.coupon_id is null then 'not_leased' else 'leased' end
      ::public.coupon_leases_outcome,
    q.coupon_id,
    l.refusal,
    l.valid_for,
    l.starts_in,
    l.sold_out_at,
    l.time_to_sell_out,
    l.issued,
    (select g.issued_at
      from coupon.user_coupons g
      where coupon.position_key(g.coupon_id, g.position) = coupon.position_key(m.coupon_id, l.issued)),
    l.after,
    case when m.coupon_id is not null then array(
      select g.user_id
      from coupon.user_coupons g
      where coupon.position_key(g.coupon_id, g.position) > coupon.position_key(m.coupon_id, l.after)
        and coupon.position_key(g.coupon_id, g.position) <= coupon.position_key(m.coupon_id, l.issued)) end
  from unnest(coupon_leases.coupon_ids) with ordinality q (coupon_id, place)
  left join unnest(v_found) f (coupon_id) on f.coupon_id = q.coupon_id
  left join (
    unnest(v_leases.places, v_leases.coupon_ids, v_leases.refusals, v_leases.valid_fors, v_leases.starts_ins,
      v_leases.sold_out_ats, v_leases.times_to_sell_out, v_leases.issueds, v_leases.afters)
      l (place, coupon_id, refusal, valid_for, starts_in, sold_out_at, time_to_sell_out, issued, after)
    join unnest(v_marked) m (coupon_id) on m.coupon_id = l.coupon_id
  ) on l.place = q.place
  order by q.place;
end
$$;

comment on function public.coupon_leases(bigint[], integer[], timestamptz[], boolean) is
  'For a server: of each coupon (at most 1000), one row in the order of coupon_ids: the refusal that holds for everybody
but its holders, and for how long it may be repeated without asking (valid_for, counted from before the call: at most a
second, never beyond expiry, start_time, or eligible_from while it is to come). sold_out_at and time_to_sell_out come with sold_out. issued and last_issued_at are the position and the time of the last grant; who
gives them back in known_positions and known_issued_ats gets the later holders only. holders are the user_ids of the
positions after holders_after, which is the known position, or 0 if the known grant is not in this database, at most
100,000 in all; nobody else gets the coupon meanwhile. only_leased gives no coupon the first lease since its last change,
so that nothing is written and nothing waits for a commit on disk. Outcomes in order: coupon_not_found, not_leased (ask
issue_coupons), leased. A change of a coupon waits until its leases have run out.';

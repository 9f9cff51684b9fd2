-- Lets a server repeat the refusals of many coupons without asking. coupon_not_found · not_leased · leased. Waits for
-- nobody who issues or changes a coupon. Only the first lease since a coupon's last change is written durably.
--
-- Why a refusal may be repeated for a second: who changes the coupon locks its row in coupon.leases first, and waits for
-- a second then (coupon.outlive_leases). If somebody has that row already there is no lease. If somebody takes it after
-- the look here, the change commits a second later, and the server counts from before it asked.
--
-- enable_nestloop is off and the plans are generic for the reasons that issue_coupons() gives.
create or replace function public.coupon_leases(
  coupon_ids bigint[],
  known_positions integer[] default null,
  known_issued_ats timestamptz[] default null
)
returns table (
  outcome public.coupon_leases_outcome,
  coupon_id bigint,
  refusal public.issue_coupon_outcome,
  valid_for interval,
  starts_in interval,
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
  v_seen coupon.coupons[];
  v_is_issuing boolean;
  v_refused bigint[];
  v_refusals public.issue_coupon_outcome[];
  v_locked coupon.leases[];
  v_places bigint[];
  v_leased bigint[];
  v_afters integer[];
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
      'must have as many elements as coupon_ids')
  ) a (name, is_bad, why)
  where a.is_bad;
  -- If nothing but the lock of a row is written, its loss is none. Who has written before in this transaction decides for it.
  if pg_current_xact_id_if_assigned() is null then
    perform set_config('synchronous_commit', 'off', true);
  end if;

  -- 2. Which are refused for everybody? The clock is read after the coupons.
  v_seen := array(select c from coupon.coupons c where c.id = any (coupon_leases.coupon_ids));
  v_now := clock_timestamp();
  -- A grant from just before expiry may be under way. After any other refusal, which stands in the coupon's row, none
  -- can be: it would have that row.
  v_is_issuing := exists (
    select from pg_locks l
    where l.relation = 'coupon.issuing'::regclass and l.mode = 'ExclusiveLock' and l.granted
      and l.database = (select d.oid from pg_database d where d.datname = current_database()));
  select array_agg(c.id), array_agg(c.refusal) into v_refused, v_refusals
  from (select s.id, s.issued, coupon.common_refusal(s, v_now) as refusal from unnest(v_seen) s) c
  where c.refusal is not null and c.issued <= 100000 and not (c.refusal = 'ended' and v_is_issuing);

  -- 3. Which of these does nobody change?
  v_locked := array(
    select l from coupon.leases l where l.coupon_id = any (v_refused) for key share skip locked);

  -- 4. Look again, as somebody may have changed them before step 3. Another refusal than before may have come with
  -- grants that are not visible yet. What the server knows is true of this database if it has the last grant that the
  -- server knows. Another database may answer now: after a failover that lost grants, or a restore. To read 100,000
  -- holders takes a tenth of a second: a question that would get more is asked once more.
  v_seen := array(select c from coupon.coupons c where c.id = any (coupon_leases.coupon_ids));
  v_now := clock_timestamp();
  select array_agg(a.place), array_agg(a.id), array_agg(a.refusal), array_agg(a.after)
  into v_places, v_leased, v_refusals, v_afters
  from (
    select q.place, c.id, r.refusal, h.after, sum(c.issued - h.after) over (order by q.place) as holders
    from unnest(coupon_leases.coupon_ids, coupon_leases.known_positions, coupon_leases.known_issued_ats)
      with ordinality q (coupon_id, known_position, known_issued_at, place)
    join unnest(v_seen) c on c.id = q.coupon_id
    join unnest(v_refused, v_refusals) r (coupon_id, refusal) on r.coupon_id = c.id
    join unnest(v_locked) l on l.coupon_id = c.id
    cross join lateral (
      select coalesce((
        select g.position
        from coupon.user_coupons g
        where coupon.position_key(g.coupon_id, g.position) = coupon.position_key(c.id, q.known_position)
          and g.issued_at = q.known_issued_at), 0)
    ) h (after)
    where coupon.common_refusal(c, v_now) = r.refusal
  ) a
  where a.holders <= 100000;

  -- 5. Write, if it is the first lease of one of them.
  if exists (select from unnest(v_locked) l where not l.is_leased and l.coupon_id = any (v_leased)) then
    perform coupon.commit_durably();
    update coupon.leases l set is_leased = true where l.coupon_id = any (v_leased) and not l.is_leased;
  end if;

  -- 6. Answer each question.
  return query
  select
    case when c.id is null then 'coupon_not_found' when l.place is null then 'not_leased' else 'leased' end
      ::public.coupon_leases_outcome,
    q.coupon_id,
    l.refusal,
    case when l.place is not null then least(interval '1 second', case
      when l.refusal = 'not_started' then c.start_time - v_now
      when l.refusal <> 'ended' then c.expiry - v_now end) end,
    case when l.refusal = 'not_started' then c.start_time - v_now end,
    case when l.place is not null then c.issued end,
    case when l.place is not null then (
      select g.issued_at
      from coupon.user_coupons g
      where coupon.position_key(g.coupon_id, g.position) = coupon.position_key(c.id, c.issued)) end,
    l.after,
    case when l.place is not null then array(
      select g.user_id
      from coupon.user_coupons g
      where coupon.position_key(g.coupon_id, g.position) > coupon.position_key(c.id, l.after)
        and coupon.position_key(g.coupon_id, g.position) <= coupon.position_key(c.id, c.issued)) end
  from unnest(coupon_leases.coupon_ids) with ordinality q (coupon_id, place)
  left join unnest(v_seen) c on c.id = q.coupon_id
  left join unnest(v_places, v_refusals, v_afters) l (place, refusal, after) on l.place = q.place
  order by q.place;
end
$$;

comment on function public.coupon_leases(bigint[], integer[], timestamptz[]) is
  'For a server: of each coupon (at most 1000), one row in the order of coupon_ids: the refusal that holds for everybody
but its holders, and for how long it may be repeated without asking (valid_for, counted from before the call: at most a
second, never beyond start_time or expiry). issued and last_issued_at are the position and the time of the last grant; who
gives them back in known_positions and known_issued_ats gets the later holders only. holders are the user_ids of the
positions after holders_after, which is the known position, or 0 if the known grant is not in this database, at most
100,000 in all; nobody else gets the coupon meanwhile. Outcomes in order: coupon_not_found, not_leased (ask
issue_coupons), leased. A change of a coupon waits until its leases have run out.';

-- Lets a server repeat a refusal without asking. coupon_not_found · not_leased · leased. Waits for nobody who issues or
-- changes the coupon. Only the first lease since the last change is written durably.
--
-- Why a refusal may be repeated for a second: who changes the coupon locks its row in coupon.leases first, and waits for
-- a second then (coupon.outlive_leases). If somebody has that row already there is no lease. If somebody takes it after
-- the look here, the change commits a second later, and the server counts from before it asked.
create or replace function public.coupon_lease(
  coupon_id bigint,
  known_position integer default 0,
  known_issued_at timestamptz default null
)
returns table (
  outcome public.coupon_lease_outcome,
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
set jit = off
as $$
declare
  v_coupon coupon.coupons;
  v_now timestamptz;
  v_refusal public.issue_coupon_outcome;
  v_is_leased boolean;
begin
  if coupon_lease.coupon_id is null then
    perform coupon.refuse_argument('coupon_id', 'must not be null');
  elsif coupon_lease.known_position is null then
    perform coupon.refuse_argument('known_position', 'must not be null');
  elsif coupon_lease.known_position < 0 then
    perform coupon.refuse_argument('known_position', 'must be at least 0');
  end if;

  outcome := 'not_leased';
  for v_attempt in 1..2 loop
    select c.* into v_coupon from coupon.coupons c where c.id = coupon_lease.coupon_id;
    v_now := clock_timestamp();
    if v_coupon.id is null then
      outcome := 'coupon_not_found';
      return next;
      return;
    end if;
    refusal := coupon.common_refusal(v_coupon, v_now);
    exit when refusal is null or v_coupon.issued > 100000;
    if v_attempt = 2 then
      -- Another refusal than before may have come with grants that are not visible yet.
      outcome := case when refusal = v_refusal then 'leased' else 'not_leased' end;
      exit;
    end if;
    v_refusal := refusal;
    -- A grant from just before expiry may be under way. After any other refusal, which stands in the coupon's row, none
    -- can be: it would have that row.
    exit when refusal = 'ended' and exists (
      select from pg_locks l
      where l.relation = 'coupon.issuing'::regclass and l.mode = 'ExclusiveLock' and l.granted
        and l.database = (select d.oid from pg_database d where d.datname = current_database()));
    select l.is_leased into v_is_leased
    from coupon.leases l
    where l.coupon_id = coupon_lease.coupon_id
    for key share skip locked;
    exit when not found;
  end loop;
  if outcome = 'not_leased' then
    refusal := null;
    return next;
    return;
  end if;

  if v_is_leased then
    perform set_config('synchronous_commit', 'off', true);
  else
    perform coupon.commit_durably();
    update coupon.leases l set is_leased = true where l.coupon_id = coupon_lease.coupon_id;
  end if;

  valid_for := least(
    interval '1 second',
    case
      when refusal = 'not_started' then v_coupon.start_time - v_now
      when refusal <> 'ended' then v_coupon.expiry - v_now
    end);
  if refusal = 'not_started' then
    starts_in := v_coupon.start_time - v_now;
  end if;
  issued := v_coupon.issued;
  last_issued_at := (
    select g.issued_at
    from coupon.user_coupons g
    where coupon.position_key(g.coupon_id, g.position) = coupon.position_key(coupon_lease.coupon_id, v_coupon.issued));
  -- What the server knows is true of this database if it has the last grant that the server knows. Another database may
  -- answer now: after a failover that lost grants, or a restore.
  holders_after := coalesce((
    select g.position
    from coupon.user_coupons g
    where coupon.position_key(g.coupon_id, g.position)
        = coupon.position_key(coupon_lease.coupon_id, coupon_lease.known_position)
      and g.issued_at = coupon_lease.known_issued_at), 0);
  holders := array(
    select g.user_id
    from coupon.user_coupons g
    where coupon.position_key(g.coupon_id, g.position)
        > coupon.position_key(coupon_lease.coupon_id, coupon_lease.holders_after)
      and coupon.position_key(g.coupon_id, g.position)
        <= coupon.position_key(coupon_lease.coupon_id, v_coupon.issued));
  return next;
end
$$;

comment on function public.coupon_lease(bigint, integer, timestamptz) is
  'For a server: the coupon''s refusal that holds for everybody but its holders, and for how long it
may be repeated without asking (valid_for, counted from before the call: at most a second, never
beyond start_time or expiry). issued and last_issued_at are the position and the time of the last
grant; who gives them back as known_position and known_issued_at gets the later holders only.
holders are the user_ids of the positions after holders_after, which is known_position, or 0 if the
known grant is not in this database; nobody else gets the coupon meanwhile. Outcomes in order:
coupon_not_found, not_leased (ask issue_coupons), leased. A change of the coupon waits until its
leases have run out.';

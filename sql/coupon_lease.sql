-- Lets a server repeat a refusal without asking. coupon_not_found · not_leased · leased. Waits for those who issue, and
-- writes until when it is leased: a change of the coupon waits for that (coupon.outlive_leases).
create or replace function public.coupon_lease(coupon_id bigint, known_position integer default 0)
returns table (
  outcome public.coupon_lease_outcome,
  refusal public.issue_coupon_outcome,
  valid_for interval,
  starts_in interval,
  issued integer,
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
      outcome := 'leased';
    else
      -- A grant that was made just before expiry may not be visible yet. Then nothing waits any more: who changes the
      -- coupon has its lock, or gets it after this lease.
      perform pg_advisory_xact_lock_shared(coupon.lock_key());
      exit when not pg_try_advisory_xact_lock_shared(-coupon.lock_key() # coupon_lease.coupon_id);
    end if;
  end loop;
  if outcome = 'not_leased' then
    refusal := null;
    return next;
    return;
  end if;

  valid_for := least(
    interval '1 second',
    case
      when refusal = 'not_started' then v_coupon.start_time - v_now
      when refusal <> 'ended' then v_coupon.expiry - v_now
    end);
  insert into coupon.leases as l (coupon_id, valid_until)
  values (coupon_lease.coupon_id, v_now + valid_for)
  on conflict on constraint leases_pkey do update set valid_until = greatest(l.valid_until, excluded.valid_until);

  if refusal = 'not_started' then
    starts_in := v_coupon.start_time - v_now;
  end if;
  issued := v_coupon.issued;
  holders := array(
    select g.user_id
    from coupon.user_coupons g
    where coupon.position_key(g.coupon_id, g.position)
        > coupon.position_key(coupon_lease.coupon_id, coupon_lease.known_position)
      and coupon.position_key(g.coupon_id, g.position)
        <= coupon.position_key(coupon_lease.coupon_id, v_coupon.issued));
  return next;
end
$$;

comment on function public.coupon_lease(bigint, integer) is
  'For a server: the coupon''s refusal that holds for everybody but its holders, and for how long it
may be repeated without asking (valid_for, counted from before the call: at most a second, never
beyond start_time or expiry). holders are the user_ids of the positions after known_position up to
issued; nobody else gets the coupon meanwhile. Outcomes in order: coupon_not_found, not_leased (ask
issue_coupons), leased. A change of the coupon waits until its leases have run out.';

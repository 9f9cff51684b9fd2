-- Issues a coupon to a batch of users in order of arrival: the one body of the rules;
-- issue_coupon() is its one-user form. coupon_not_found · already_issued · not_started · ended ·
-- paused · sold_out · user_not_found · daily_limit_reached · issued. Takes the issuing lock if
-- somebody in the batch can be granted, and only then.
--
-- enable_seqscan is off because plans may be older than the rows: one made while the tables were
-- small would read all grants of a day for each batch. enable_nestloop is off because PostgreSQL
-- before 18 takes an array for ten elements: step 6 would compare each of 1,000 users with each
-- other. The plans are generic because small batches would pay more for a plan of their own than for reading.
create or replace function public.issue_coupons(coupon_id bigint, user_ids bigint[])
returns table (
  outcome public.issue_coupon_outcome,
  user_id bigint,
  "position" integer,
  issued_on date,
  issued_at timestamptz,
  starts_in interval,
  sold_out_at timestamptz,
  time_to_sell_out interval
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
  v_coupon coupon.coupons;
  v_now timestamptz;
  v_today date;
  v_refusal public.issue_coupon_outcome;
  v_locked boolean := false;
  v_asking bigint[];
  v_winners bigint[];
  v_arrivals bigint[];
  v_left integer;
begin
  -- 1. Assert the arguments.
  if issue_coupons.coupon_id is null then
    perform coupon.refuse_argument('coupon_id', 'must not be null');
  elsif issue_coupons.user_ids is null then
    perform coupon.refuse_argument('user_ids', 'must not be null');
  elsif array_ndims(issue_coupons.user_ids) > 1 then
    perform coupon.refuse_argument('user_ids', 'must have one dimension');
  elsif cardinality(issue_coupons.user_ids) > 10000 then
    perform coupon.refuse_argument('user_ids', 'must have at most 10000 elements');
  elsif array_position(issue_coupons.user_ids, null) is not null then
    perform coupon.refuse_argument('user_ids', 'must not contain null');
  end if;

  select c.* into v_coupon from coupon.coupons c where c.id = issue_coupons.coupon_id;
  loop
    -- 2. Is the coupon refused for everybody? The clock is read after the coupon, and so after any wait for the lock.
    v_now := clock_timestamp();
    v_today := (v_now at time zone v_coupon.time_zone)::date;
    v_asking := issue_coupons.user_ids;
    v_refusal := case
      when v_coupon.id is null then 'coupon_not_found'
      else coupon.common_refusal(v_coupon, v_now) end;
    -- Early it is for the members of its group: a null stands for who is none. To members it is as if it had started.
    if v_refusal is null and v_now < v_coupon.start_time then
      v_asking := array(
        select (
          select m.user_id from coupon.group_members m
          where m.group_name = v_coupon.eligible_group and m.user_id = r.user_id)
        from unnest(issue_coupons.user_ids) with ordinality r (user_id, arrival)
        order by r.arrival);
      v_refusal := case
        when array_remove(v_asking, null) = '{}' then 'not_started'
        else coupon.common_refusal(v_coupon, v_coupon.start_time) end;
    end if;

    exit when v_refusal is not null or v_locked;

    -- 3. If not, can anybody be granted? One is enough, and mostly the first one can. Then take the
    -- lock, and go back to step 2 with what is true under it. Scalar subqueries make this a probe
    -- for each user, which ends at the first found.
    exit when not exists (
      select
      from unnest(v_asking) r (user_id)
      where (select true from coupon.users u where u.id = r.user_id)
        and (select g.user_id from coupon.user_coupons g
          where g.issued_on = v_today and g.user_id = r.user_id) is null
        and (select g.user_id from coupon.user_coupons g
          where g.coupon_id = issue_coupons.coupon_id and g.user_id = r.user_id) is null);
    v_coupon := coupon.lock_issuing(issue_coupons.coupon_id);
    v_locked := true;
  end loop;

  -- 4. Choose who can be granted, in order of arrival; who asks twice counts once.
  if v_refusal is null and v_locked then
    select array_agg(r.user_id), array_agg(r.arrival)
    into v_winners, v_arrivals
    from (
      select r.user_id, min(r.arrival) as arrival
      from unnest(v_asking) with ordinality r (user_id, arrival)
      group by r.user_id
      order by arrival
    ) r
    where (select true from coupon.users u where u.id = r.user_id)
      and (select g.user_id from coupon.user_coupons g
        where g.issued_on = v_today and g.user_id = r.user_id) is null
      and (select g.user_id from coupon.user_coupons g
        where g.coupon_id = issue_coupons.coupon_id and g.user_id = r.user_id) is null;
  end if;

  -- 5. Write: the coupon's counter, then a row for each of them, as far as the stock goes. Rows are inserted by user.
  if v_winners is not null then
    perform coupon.commit_durably();
    v_left := v_coupon.count - v_coupon.issued;
    v_winners := v_winners[:v_left];
    v_arrivals := v_arrivals[:v_left];
    if cardinality(v_winners) = v_left then
      v_coupon.sold_out_at := v_now;
    end if;
    update coupon.coupons c
    set issued = c.issued + cardinality(v_winners), sold_out_at = v_coupon.sold_out_at
    where c.id = issue_coupons.coupon_id;
    insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position)
    select w.user_id, issue_coupons.coupon_id, v_now, v_coupon.expiry, v_today, v_coupon.issued + w.place
    from unnest(v_winners) with ordinality w (user_id, place)
    order by w.user_id;
  end if;

  -- 6. Answer each request, in order of arrival. Mostly everybody is granted, or everybody is refused and nobody in the
  -- batch holds the coupon.
  if cardinality(v_winners) = cardinality(issue_coupons.user_ids) then
    return query
    select
      'issued'::public.issue_coupon_outcome, r.user_id, (v_coupon.issued + r.arrival)::integer, v_today, v_now,
      null::interval, null::timestamptz, null::interval
    from unnest(issue_coupons.user_ids) with ordinality r (user_id, arrival);
  elsif v_refusal = 'coupon_not_found'
    or (v_refusal = 'not_started' or v_refusal is not null and array_position(v_asking, null) is null) and not exists (
      select from coupon.user_coupons g
      where g.coupon_id = issue_coupons.coupon_id and g.user_id = any (issue_coupons.user_ids))
  then
    return query
    select
      v_refusal, r.user_id, null::integer, null::date, null::timestamptz,
      case when v_refusal = 'not_started' then v_coupon.start_time - v_now end,
      case when v_refusal = 'sold_out' then v_coupon.sold_out_at end,
      case when v_refusal = 'sold_out' then v_coupon.sold_out_at - coupon.first_start(v_coupon) end
    from unnest(issue_coupons.user_ids) with ordinality r (user_id, arrival)
    order by r.arrival;
  else
    return query
    select
      a.outcome, a.user_id, a.position, a.issued_on, a.issued_at,
      case when a.outcome = 'not_started' then v_coupon.start_time - v_now end,
      case when a.outcome = 'sold_out' then v_coupon.sold_out_at end,
      case when a.outcome = 'sold_out' then v_coupon.sold_out_at - coupon.first_start(v_coupon) end
    from (
      select
        case
          when r.arrival = r.first_arrival then 'issued'
          when coalesce(r.place, (r.held).position) is not null then 'already_issued'
          when v_now < v_coupon.start_time and v_asking[r.arrival] is null then 'not_started'
          when v_refusal is not null then v_refusal
          when r.arrival > v_arrivals[v_left] then 'sold_out'
          when (select g.user_id from coupon.user_coupons g
            where g.issued_on = v_today and g.user_id = r.user_id) is null
            or (select true from coupon.users u where u.id = r.user_id) is null then 'user_not_found'
          else 'daily_limit_reached'
        end as outcome,
        r.arrival,
        r.user_id,
        coalesce((v_coupon.issued + r.place)::integer, (r.held).position) as position,
        case when r.place is not null then v_today else (r.held).issued_on end as issued_on,
        case when r.place is not null then v_now else (r.held).issued_at end as issued_at
      from (
        select
          r.user_id, r.arrival, w.arrival as first_arrival, w.place,
          case when w.place is null then (
            select g from coupon.user_coupons g
            where g.coupon_id = issue_coupons.coupon_id and g.user_id = r.user_id) end as held
        from unnest(issue_coupons.user_ids) with ordinality r (user_id, arrival)
        left join unnest(v_winners, v_arrivals) with ordinality w (user_id, arrival, place) on w.user_id = r.user_id
        offset 0 -- looks each of them up once
      ) r
      offset 0 -- decides each of them once
    ) a
    order by a.arrival;
  end if;

  -- A batch that wrote waits for the standbys anyway. Whoever else is told of grants waits for them too: that it holds one, that its day
  -- is spent, that none is left. A failover takes back what the standbys do not have. Asked last, so that it sees what the answers saw.
  if v_winners is null and current_setting('synchronous_standby_names') <> '' then
    if v_refusal = 'sold_out'
      or exists (
        select from coupon.user_coupons g
        where g.coupon_id = issue_coupons.coupon_id and g.user_id = any (issue_coupons.user_ids))
      or v_refusal is null and exists (
        select from coupon.user_coupons g
        where g.issued_on = v_today and g.user_id = any (issue_coupons.user_ids))
    then
      perform coupon.fence_replay();
    end if;
  end if;
end
$$;

comment on function public.issue_coupons(bigint, bigint[]) is
  'Issues a coupon to a batch of at most 10000 users in order of arrival: exactly as issue_coupon() one after another,
with one lock, one insert and one commit. One row for each element of user_ids, in that order.';

-- Adds what was committed since to coupon.events. Locks the row of coupon.gathered; while another call has it, does nothing.
--
-- Grants of a coupon are committed in the order of their positions, so coupons.issued says up to which one they are there.
-- The audit has no such order: an id may be committed after a higher one. So lower ids that are not there yet are awaited,
-- and each is given up once every transaction that may have taken it is over.
--
-- Numbers are given out under the lock, so they are committed in their order: what was read is never preceded by news.
-- Of a coupon, rows of the audit come in the order of their ids, each after the grants that were there before it: those
-- up to its issued, or the one that it uses.
create or replace function coupon.gather_events()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_gathered coupon.gathered;
  v_is_settled boolean;
begin
  -- Mostly there is nothing: then nothing is locked or written.
  select g.* into v_gathered from coupon.gathered g;
  if not exists (select from coupon.audit a where a.id > v_gathered.seen_id)
    and not exists (select from coupon.new_grants())
    and not exists (
      select from unnest(v_gathered.awaited) r (ids)
      join coupon.audit a on a.id >= lower(r.ids) and a.id < upper(r.ids))
  then
    return;
  end if;
  select g.* into v_gathered from coupon.gathered g for update skip locked;
  if not found then
    return;
  end if;
  perform coupon.commit_durably();

  -- Read before the audit is: what those transactions did can then be seen. In a restored copy of a database settled_by may
  -- be a number that is still to come; none of its transactions went on there. Numbers are compared with the snapshot's, since
  -- the one of this transaction is an old one if it has written before.
  v_is_settled := v_gathered.settled_by <= pg_snapshot_xmin(pg_current_snapshot())
    or v_gathered.settled_by > pg_snapshot_xmax(pg_current_snapshot());

  -- One statement, which sees grants and audit as of one moment.
  with found as materialized (
    select a.* from coupon.audit a where a.id > v_gathered.seen_id
    union all
    select a.*
    from unnest(v_gathered.awaited) r (ids)
    join coupon.audit a on a.id >= lower(r.ids) and a.id < upper(r.ids)
  ), grants as materialized (
    select g.* from coupon.new_grants() g
  ), changes as materialized (
    select f.id, f.coupon_id, f.command, f.old_values,
      max(coalesce(f.issued, (
        select g.position from coupon.user_coupons g where g.coupon_id = f.coupon_id and g.user_id = f.user_id), 0))
        over (partition by f.coupon_id order by f.id) as after_position
    from found f
    where coupon.event_of(f) is not null
  ), ends as (
    select g.coupon_id, g.last_position from grants g
    union
    select g.coupon_id, c.after_position
    from changes c
    join grants g on g.coupon_id = c.coupon_id
    where c.after_position >= g.first_position and c.after_position < g.last_position
  ), ordered as (
    select e.coupon_id, e.last_position as place, null::bigint as audit_id, false as is_count
    from ends e
    union all
    select c.coupon_id, c.after_position, c.id, c.command = 'set_coupon_count'
    from changes c
  ), told as (
    select
      o.coupon_id, o.place, o.audit_id,
      lag(o.place) over (partition by o.coupon_id, o.audit_id is null order by o.place) as place_before,
      -- The next change of its count: what it was until then.
      min(o.audit_id) filter (where o.is_count) over (
        partition by o.coupon_id order by o.place desc, o.audit_id desc nulls last rows unbounded preceding) as count_id
    from ordered o
  ), added as (
    insert into coupon.events (number, gathered_at, coupon_id, audit_id, first_position, last_position, sold_out)
    select
      v_gathered.last_number + row_number() over (order by t.coupon_id, t.place, t.audit_id nulls first),
      clock_timestamp(),
      t.coupon_id,
      t.audit_id,
      case when t.audit_id is null then coalesce(t.place_before + 1, g.first_position) end,
      case when t.audit_id is null then t.place end,
      case when t.audit_id is null then t.place = coalesce((c.old_values->>'count')::integer, g.count) end
    from told t
    left join changes c on c.id = t.count_id
    left join grants g on g.coupon_id = t.coupon_id
    returning number
  )
  update coupon.gathered g
  set
    last_number = g.last_number + (select count(*) from added),
    gathered_at = clock_timestamp(),
    seen_id = s.seen_id,
    awaited = (g.awaited + int8multirange(int8range(g.seen_id, s.seen_id, '(]')) - s.ids)
      - case when v_is_settled then int8multirange(int8range(null, g.settled_id, '[]')) else '{}' end,
    settled_id = case when v_is_settled then g.seen_id else g.settled_id end,
    settled_by = case when v_is_settled then pg_snapshot_xmax(pg_current_snapshot()) else g.settled_by end
  from (
    select greatest(v_gathered.seen_id, max(f.id)) as seen_id,
      coalesce(range_agg(int8range(f.id, f.id, '[]')), '{}') as ids
    from found f
  ) s;
end
$$;

comment on function coupon.gather_events() is
  'Adds to coupon.events what was committed since, unless another call is at it. events() calls it.';

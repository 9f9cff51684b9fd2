-- Compares every row with every rule, trusting no constraint: what it returns is broken. Passes
-- over the grants about ten times. JIT is off: to compile so many expressions takes seconds, also for a few rows.
create or replace function public.reconcile()
returns table (invariant text, coupon_id bigint, user_id bigint, detail text)
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
  with zone as materialized (
    select s.time_zone from coupon.settings s where coupon.is_time_zone(s.time_zone)
  ), grants as (
    select
      g.coupon_id,
      count(*) as rows,
      count(distinct g.position) as positions,
      min(g.position) as first_position,
      max(g.position) as last_position
    from coupon.user_coupons g
    group by g.coupon_id
  )
  select 'issued_equals_grants', c.id, null::bigint,
    format('issued %s, grants %s', c.issued, coalesce(g.rows, 0))
  from coupon.coupons c
  left join grants g on g.coupon_id = c.id
  where c.issued <> coalesce(g.rows, 0)

  union all
  select 'never_more_than_count', c.id, null,
    format('count %s, issued %s, grants %s', c.count, c.issued, g.rows)
  from coupon.coupons c
  left join grants g on g.coupon_id = c.id
  where greatest(c.issued, g.rows) > c.count

  union all
  -- The last one by position: where the clock was set back, others have a later time.
  select 'sold_out_since_the_last_unit', c.id, null,
    format('count %s, issued %s, sold out at %s, last grant at %s', c.count, c.issued, c.sold_out_at, l.issued_at)
  from coupon.coupons c
  left join coupon.user_coupons l
    on coupon.position_key(l.coupon_id, l.position) = coupon.position_key(c.id, c.issued)
  where (c.sold_out_at is not null) <> (c.issued = c.count) or c.sold_out_at < l.issued_at

  union all
  select 'positions_without_gaps', g.coupon_id, null,
    format('%s grants, %s positions from %s to %s', g.rows, g.positions, g.first_position, g.last_position)
  from grants g
  where g.positions <> g.rows or g.first_position <> 1 or g.last_position <> g.rows

  union all
  select 'one_per_user_and_coupon', g.coupon_id, g.user_id, format('%s grants', count(*))
  from coupon.user_coupons g
  group by g.coupon_id, g.user_id
  having count(*) > 1

  union all
  select 'one_per_user_and_day', null, g.user_id, format('%s grants on %s', count(*), g.issued_on)
  from coupon.user_coupons g
  group by g.user_id, g.issued_on
  having count(*) > 1

  union all
  select 'grant_has_its_coupon', g.coupon_id, g.user_id, 'no such coupon'
  from coupon.user_coupons g
  where not exists (select from coupon.coupons c where c.id = g.coupon_id)
    and not exists (
      select from coupon.retired_coupons r where r.coupon_id = g.coupon_id and g.position <= r.grants_left)

  union all
  select 'retired_grants_are_counted', coalesce(r.coupon_id, s.coupon_id), null,
    format('issued %s, grants %s of %s, moved out %s', r.issued, coalesce(g.rows, 0), r.grants_left, coalesce(s.issued, 0))
  from coupon.retired_coupons r
  full join (
    select s.coupon_id, sum(s.issued) as issued from coupon.retired_grants s group by s.coupon_id
  ) s on s.coupon_id = r.coupon_id
  left join grants g on g.coupon_id = r.coupon_id
  where r.coupon_id is null or r.grants_left <> coalesce(g.rows, 0) or r.issued <> r.grants_left + coalesce(s.issued, 0)
    or exists (select from coupon.coupons c where c.id = r.coupon_id)

  union all
  select 'grant_has_its_user', g.coupon_id, g.user_id, 'no such user'
  from coupon.user_coupons g
  where not exists (select from coupon.users u where u.id = g.user_id)
    and not exists (select from coupon.forgotten_users f where f.user_id = g.user_id)

  union all
  select 'forgotten_user_is_gone', w.coupon_id, f.user_id, w.what
  from coupon.forgotten_users f
  join (
    select u.id as user_id, null::bigint as coupon_id, 'the name is still there' as what
    from coupon.users u
    union all
    select g.user_id, g.coupon_id, 'the reference of a use is still there'
    from coupon.user_coupons g
    where g.use_reference <> coupon.forgotten()
    union all
    select a.user_id, a.coupon_id, format('words are still there, in row %s of the audit', a.id)
    from coupon.audit a
    where a.command <> 'forget_user' and (
      a.reason <> coupon.forgotten()
      or coalesce(a.old_values ->> 'use_reference', a.new_values ->> 'use_reference') <> coupon.forgotten())
  ) w on w.user_id = f.user_id

  union all
  select 'forgotten_user_stays_forgotten', null, a.user_id, format('audit %s', a.id)
  from coupon.audit a
  where a.command = 'forget_user' and not exists (select from coupon.forgotten_users f where f.user_id = a.user_id)

  union all
  select 'issued_from_start_until_expiry', g.coupon_id, g.user_id,
    format('issued at %s, start %s, expiry %s', g.issued_at, coupon.first_start(c), c.expiry)
  from coupon.user_coupons g
  join coupon.coupons c on c.id = g.coupon_id
  where g.issued_at < coupon.first_start(c) or g.issued_at >= c.expiry

  union all
  select 'grant_carries_expiry', g.coupon_id, g.user_id, format('grant %s, coupon %s', g.expiry, c.expiry)
  from coupon.user_coupons g
  join coupon.coupons c on c.id = g.coupon_id
  where g.expiry is distinct from c.expiry

  -- A day's zone may have been another one when the grant was made: no zone is 24 hours from another's date.
  union all
  select 'issued_on_is_day_of_issue', g.coupon_id, g.user_id,
    format('issued at %s on %s', g.issued_at, g.issued_on)
  from coupon.user_coupons g
  where g.issued_on not between (g.issued_at at time zone 'Etc/GMT+12')::date
    and (g.issued_at at time zone 'Etc/GMT-14')::date

  union all
  select 'used_by_holder_before_expiry', g.coupon_id, g.user_id,
    format('issued at %s, used at %s, reference %s, expiry %s', g.issued_at, g.used_date, g.use_reference, g.expiry)
  from coupon.user_coupons g
  where g.used_date < g.issued_at or g.used_date >= g.expiry
    or (g.used_date is null) <> (g.use_reference is null)
    or g.is_used <> (g.used_date is not null)

  union all
  select 'uses_are_counted', coalesce(g.coupon_id, c.coupon_id), null,
    format('used %s, counted %s', coalesce(g.used, 0), coalesce(c.used, 0))
  from (
    select g.coupon_id, sum(g.used) as used
    from (
      select u.coupon_id, 1 as used from coupon.user_coupons u where u.used_date is not null
      union all
      select s.coupon_id, s.used from coupon.retired_grants s where s.used > 0
    ) g
    group by g.coupon_id
  ) g
  full join (
    select u.coupon_id, sum(u.used) as used from coupon.use_counts u group by u.coupon_id
  ) c on c.coupon_id = g.coupon_id
  where coalesce(g.used, 0) <> coalesce(c.used, 0)

  union all
  select 'demand_is_of_a_coupon', d.coupon_id, null, format('at %s: refused %s, replayed %s', d.second, d.refused, d.replayed)
  from coupon.demand d
  where d.refused < 0 or d.replayed < 0 or not exists (select from coupon.coupons c where c.id = d.coupon_id)

  union all
  select 'past_grants_are_grants', coalesce(g.coupon_id, p.coupon_id), coalesce(g.user_id, p.user_id),
    format('of %s: %s', coalesce(g.issued_on, p.issued_on),
      case when p.user_id is null then 'not copied' else 'copied without need' end)
  from (
    select g.coupon_id, g.user_id, g.issued_on, (g.issued_on, g.user_id) <= (f.issued_on, f.user_id) as is_folded
    from coupon.user_coupons g
    cross join coupon.folded f
  ) g
  full join coupon.past_grants p
    on p.coupon_id = g.coupon_id and p.user_id = g.user_id and p.issued_on = g.issued_on
  where p.user_id is null and g.is_folded
    or g.user_id is null and not exists (
      select from coupon.retired_coupons r, coupon.folded f where r.coupon_id = p.coupon_id and p.user_id > f.swept_to)

  union all
  select 'undone_use_is_undone', a.coupon_id, a.user_id, format('use of %s is still there', a.used_date)
  from coupon.audit a
  left join coupon.user_coupons g on g.coupon_id = a.coupon_id and g.user_id = a.user_id
  where a.command = 'undo_use' and (g.user_id is null or g.used_date = a.used_date)
    and not exists (select from coupon.retired_coupons r where r.coupon_id = a.coupon_id)

  union all
  select 'audited_use_is_there', a.coupon_id, a.user_id, format('use of %s is gone, and nobody undid it', a.used_date)
  from coupon.audit a
  left join coupon.user_coupons g on g.coupon_id = a.coupon_id and g.user_id = a.user_id
  where a.command = 'use_coupon' and g.used_date is distinct from a.used_date
    and not exists (select from coupon.retired_coupons r where r.coupon_id = a.coupon_id)
    and not exists (
      select from coupon.audit u
      where u.user_id = a.user_id and u.coupon_id = a.coupon_id and u.used_date = a.used_date
        and u.command = 'undo_use')

  union all
  select 'three_different_coupons_a_day', null, null,
    format('%s: %s coupons, %s slots, %s codes, %s start times, %s counts', c.live_on, count(*),
      count(distinct c.slot) filter (where c.slot between 1 and 3), count(distinct lower(c.code)),
      count(distinct c.start_time), count(distinct c.count))
  from coupon.coupons c
  group by c.live_on
  -- Three slots hold three coupons at most. Two in one slot would leave room for a fourth.
  having count(*) <> least(count(distinct c.slot) filter (where c.slot between 1 and 3), count(distinct lower(c.code)),
    count(distinct c.start_time), count(distinct c.count))

  union all
  select 'code_is_unique', min(c.id), null, format('%s coupons with code %s', count(*), lower(c.code))
  from coupon.coupons c
  group by lower(c.code)
  having count(*) > 1

  union all
  -- Where it is missing, whoever reads it finds nothing, and says nothing: every wallet is empty without coupon.folded.
  select 'only_row_is_there', null, null, format('coupon.%s has %s rows', o.name, o.rows)
  from (
    values ('settings', (select count(*) from coupon.settings)), ('folded', (select count(*) from coupon.folded)),
      ('gathered', (select count(*) from coupon.gathered)), ('webhook_sender', (select count(*) from coupon.webhook_sender))
  ) o (name, rows)
  where o.rows <> 1

  union all
  select 'time_zone_is_known', null, null, format('no time zone %s here: call set_time_zone()', s.time_zone)
  from coupon.settings s
  where not exists (select from zone)

  union all
  select 'live_on_is_day_of_start', c.id, null,
    format('start %s, live on %s, which is %s in %s by now: call set_time_zone()', c.start_time, c.live_on,
      (c.start_time at time zone z.time_zone)::date, z.time_zone)
  from zone z
  cross join coupon.coupons c
  where c.live_on <> (c.start_time at time zone z.time_zone)::date

  union all
  -- By its zone the day of a grant is told.
  select 'coupon_in_service_time_zone', c.id, null, format('%s, and the service is in %s', c.time_zone, s.time_zone)
  from coupon.settings s
  cross join coupon.coupons c
  where c.time_zone is distinct from s.time_zone

  union all
  select 'planned_coupon_was_made', m.coupon_id, null, format('slot %s of %s: there never was such a coupon', m.slot, m.day)
  from coupon.planned m
  where not exists (select from coupon.coupons c where c.id = m.coupon_id)
    and not exists (select from coupon.audit a where a.coupon_id = m.coupon_id)

  union all
  select 'expiry_after_start', c.id, null, format('start %s, expiry %s', c.start_time, c.expiry)
  from coupon.coupons c
  where c.expiry <= c.start_time

  union all
  select 'early_start_is_of_a_group', c.id, null,
    format('group %s from %s, start %s', c.eligible_group, c.eligible_from, c.start_time)
  from coupon.coupons c
  where (c.eligible_group is null) <> (c.eligible_from is null) or c.eligible_from >= c.start_time

  union all
  select 'group_member_is_a_user', null, m.user_id, format('in group %s, and no such user', m.group_name)
  from coupon.group_members m
  where not exists (select from coupon.users u where u.id = m.user_id)

  union all
  select 'subject_is_of_a_user', null, s.user_id, format('a subject of %s, and no such user', s.issuer)
  from coupon.subjects s
  where not exists (select from coupon.users u where u.id = s.user_id)

  union all
  select 'forgotten_subject_is_forgotten', null, f.user_id, 'the user is not forgotten, or the subject is a user again'
  from coupon.forgotten_subjects f
  where not exists (select from coupon.forgotten_users g where g.user_id = f.user_id)
    or f.digest in (select coupon.digest_subject(s.issuer, s.subject) from coupon.subjects s)

  union all
  select 'coupon_can_be_leased', c.id, null, 'no row in coupon.leases'
  from coupon.coupons c
  where not exists (select from coupon.leases l where l.coupon_id = c.id)

  union all
  select 'claim_codes_have_a_secret', null, null, 'none makes them: call rotate_claim_secret()'
  where (select s.key from coupon.claim_secrets s order by s.id desc limit 1) is null

  union all
  select 'webhook_has_a_secret', null, null, format('nothing signs what %s is sent: call rotate_webhook_secret()', w.webhook_name)
  from coupon.webhooks w
  where not exists (
    select from coupon.webhook_secrets s where s.webhook_name = w.webhook_name and s.ends_at is null)

  union all
  -- Grants that are not gathered yet have no row there.
  select 'events_tell_each_grant', e.coupon_id, null,
    format('positions %s to %s after %s, of %s', e.first_position, e.last_position, e.position_before, coalesce(c.issued, r.issued, 0))
  from (
    select e.*, lag(e.last_position, 1, 0) over (partition by e.coupon_id order by e.last_position) as position_before
    from coupon.events e
    where e.last_position is not null
  ) e
  left join coupon.coupons c on c.id = e.coupon_id
  left join coupon.retired_coupons r on r.coupon_id = e.coupon_id
  where e.first_position <> e.position_before + 1 or e.last_position > coalesce(c.issued, r.issued, 0)

  union all
  select 'events_tell_each_change', (u.entry).coupon_id, (u.entry).user_id, format('audit %s', (u.entry).id)
  from (
    select a as entry
    from coupon.gathered g
    join coupon.audit a on a.id <= g.seen_id and not g.awaited @> a.id
    where not exists (select from coupon.events e where e.audit_id = a.id)
    offset 0 -- event_of() is asked of these alone
  ) u
  where coupon.event_of(u.entry) is not null

  union all
  select 'told_change_is_in_the_audit', e.coupon_id, null, format('event %s, audit %s', e.number, e.audit_id)
  from coupon.events e
  where e.audit_id is not null and not exists (select from coupon.audit a where a.id = e.audit_id)

  union all
  select 'webhook_is_at_an_event', null, null,
    format('%s is at %s of %s events', w.webhook_name, w.after_number, g.last_number)
  from coupon.gathered g
  cross join coupon.webhooks w
  where w.after_number > greatest(g.last_number, 1)

  union all
  select 'revoked_key_is_revoked', null, null, format('key %s, audit %s', a.new_values ->> 'id', a.id)
  from coupon.audit a
  where a.command = 'revoke_key' and not exists (
    select from coupon.keys k where k.id = a.new_values ->> 'id' and k.revoked_at is not null)

  union all
  select 'next_id_is_free', null, null, format('%s: next %s, highest %s', i.name, i.next, i.highest)
  from (
    values
      ('events', (select g.last_number + 1 from coupon.gathered g), (select max(e.number) from coupon.events e)),
      -- The id of a coupon that was withdrawn is not given again either.
      ('coupons', (select s.last_value + s.is_called::integer from coupon.coupons_id_seq s),
        greatest((select max(c.id) from coupon.coupons c), (select max(a.coupon_id) from coupon.audit a))),
      ('audit', (select s.last_value + s.is_called::integer from coupon.audit_id_seq s), (select max(a.id) from coupon.audit a))
  ) i (name, next, highest)
  where i.next <= i.highest
$$;

comment on function public.reconcile() is
  'Compares every row with every rule, without trusting the constraints. Returns what is broken:
always empty. Three things no row can prove: the day of a grant to better than a day (the zone may
have been another one), the order of positions in time (a clock may have been set back), and that who got a
coupon before its start_time was in its group then. Passes over the grants about ten times: run it on a replica
or at night when they are large.';

-- Takes coupons that expired before a day out, a step a call: too_recent · busy · going_on · done. Takes no lock that issuing
-- takes, but that of a coupon that nobody can get any more. One call works at a time.
--
-- A step takes out a coupon, which is not found from then on, or moves out the next at_most grants of one: they are deleted
-- from the last position down, so that those that are left have positions without gaps, and counted. A use that is under way
-- is waited for, and whoever comes later finds no coupon. Nothing is moved out of days that may get grants again, whatever
-- zone is set, or if the clock is wrong by less than a month.
--
-- Once all grants are moved out, steps sweep their copies out of coupon.past_grants, from the first user to the last: these
-- lie by user, so to look up each one as its grant goes would read a page for each.
create or replace function public.retire_coupons(
  before date,
  at_most integer default 5000,
  reason text default null,
  actor text default null
)
returns table (
  outcome public.retire_coupons_outcome,
  coupon_id bigint,
  code text,
  grants integer,
  grants_left integer,
  coupons_left bigint
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_before timestamptz;
  v_coupon coupon.coupons;
  v_retired coupon.retired_coupons;
  v_swept_to bigint;
  v_user_id bigint; -- the last one that this step sweeps
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('before', retire_coupons.before is null, 'must not be null'),
    ('before', retire_coupons.before not between '1970-01-01' and '9999-12-31', 'must lie between 1970 and 9999'),
    ('at_most', retire_coupons.at_most is null or retire_coupons.at_most not between 1 and 100000,
      'must lie between 1 and 100000')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.check_reason_and_actor(retire_coupons.reason, retire_coupons.actor);

  if retire_coupons.before > coupon.today() - 33 then
    outcome := 'too_recent';
    return next;
    return;
  end if;
  -- fold_grants() copies meanwhile what is moved out here.
  select f.swept_to into v_swept_to from coupon.folded f for no key update skip locked;
  if not found then
    outcome := 'busy';
    return next;
    return;
  end if;

  select retire_coupons.before::timestamp at time zone s.time_zone into v_before from coupon.settings s;
  grants := 0;
  select r.* into v_retired from coupon.retired_coupons r where r.grants_left > 0 order by r.coupon_id limit 1;
  if found then
    grants := least(v_retired.grants_left, retire_coupons.at_most);
    grants_left := v_retired.grants_left - grants;
    update coupon.retired_coupons r set grants_left = retire_coupons.grants_left where r.coupon_id = v_retired.coupon_id;
    with gone as (
      delete from coupon.user_coupons g
      where coupon.position_key(g.coupon_id, g.position) > coupon.position_key(v_retired.coupon_id, retire_coupons.grants_left)
        and coupon.position_key(g.coupon_id, g.position) <= coupon.position_key(v_retired.coupon_id, v_retired.grants_left)
      returning g.issued_on, g.issued_at, g.is_used
    )
    insert into coupon.retired_grants as s (coupon_id, issued_on, issued, used, first_issued_at, last_issued_at)
    select
      v_retired.coupon_id, g.issued_on, count(*), count(*) filter (where g.is_used), min(g.issued_at), max(g.issued_at)
    from gone g
    group by g.issued_on
    on conflict on constraint retired_grants_pkey do update
      set issued = s.issued + excluded.issued, used = s.used + excluded.used,
        first_issued_at = least(s.first_issued_at, excluded.first_issued_at),
        last_issued_at = greatest(s.last_issued_at, excluded.last_issued_at);
  else
    select c.id into coupon_id from coupon.coupons c where c.expiry < v_before order by c.expiry limit 1;
    if found then
      perform coupon.outlive_leases(retire_coupons.coupon_id);
      select c.* into v_coupon from coupon.coupons c where c.id = retire_coupons.coupon_id and c.expiry < v_before for update;
    end if;
    if v_coupon.id is not null then
      insert into coupon.retired_coupons as r
        (coupon_id, code, start_time, eligible_from, expiry, live_on, count, issued, asked, sold_out_at, grants_left)
      values (v_coupon.id, v_coupon.code, v_coupon.start_time, v_coupon.eligible_from, v_coupon.expiry, v_coupon.live_on, v_coupon.count,
        v_coupon.issued, coupon.asked_for(v_coupon), v_coupon.sold_out_at, v_coupon.issued)
      returning r.* into v_retired;
      grants_left := v_retired.issued;
      delete from coupon.coupons c where c.id = v_coupon.id;
      insert into coupon.audit (command, coupon_id, old_values, reason, actor)
      values ('retire_coupons', v_coupon.id,
        coupon.terms_of(v_coupon) || jsonb_build_object('issued', v_coupon.issued), retire_coupons.reason, retire_coupons.actor);
      if v_coupon.issued > 0 then
        v_swept_to := 0;
      end if;
    elsif v_swept_to is not null then
      select p.user_id into v_user_id
      from coupon.past_grants p
      where p.user_id > v_swept_to
      order by p.user_id
      offset retire_coupons.at_most - 1 limit 1;
      delete from coupon.past_grants p
      where p.user_id > v_swept_to and (p.user_id <= v_user_id or v_user_id is null)
        and exists (select from coupon.retired_coupons r where r.coupon_id = p.coupon_id);
      v_swept_to := v_user_id;
    end if;
  end if;
  update coupon.folded f set swept_to = v_swept_to where f.swept_to is distinct from v_swept_to;

  coupon_id := v_retired.coupon_id;
  code := v_retired.code;
  select count(*) into coupons_left from coupon.coupons c where c.expiry < v_before;
  coupons_left := coupons_left + (select count(*) from coupon.retired_coupons r where r.grants_left > 0);
  outcome := case when coupons_left > 0 or v_swept_to is not null then 'going_on' else 'done' end;
  return next;
end
$$;

comment on function public.retire_coupons(date, integer, text, text) is
  'Takes the coupons that expired before a day (33 days ago or earlier) out of the tables, with their grants: a step a call, of at
most at_most (1 to 100000) grants, and then of as many copies of grants (past_grants). Call it until it answers done: select * from retire_coupons(''2026-01-01'') \watch 0.1. Export
the grants before (list_grants()): sums are all that stays, in coupon.retired_coupons and coupon.retired_grants, and the audit.
Outcomes in order: too_recent, busy (another call is at work), going_on, done. A row says which coupon it was (null while copies
are swept), how many grants were moved out and are left of it, and how many coupons are left. A retired coupon is not found any more; its code
is free, its id and its day are not. reason and actor (on whose behalf) go to the audit, a row a coupon.';

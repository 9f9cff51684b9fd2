-- migrate:up

-- What holds of grants and their use, where SQL can't declare it: as coupon_guards.sql says it of coupons.

-- Fires once for each insert statement, and so once a batch.
--
-- There is no foreign key to users and none to coupons: PostgreSQL would check those row by row, which takes longer than
-- the insert, and the one to users would lock each user's row, and so write a random page for every grant. No lock is
-- needed. Who forgets a user waits for who issues; a coupon that was issued is there until a month after its end; and who
-- issues has the coupon's row, since the positions must follow a counter that only they have moved.
create function coupon.check_new_grants() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_broken record;
  v_is_early boolean;
begin
  -- Who was forgotten or left the group since is there for an old snapshot. The lock of the row finds it out (40001).
  if coupon.keeps_snapshot() then
    perform from coupon.users u where u.id = any (array(select n.user_id from new_grants n)) for key share;
    perform from coupon.group_members m where m.user_id = any (array(select n.user_id from new_grants n)) for key share;
  end if;
  -- Grouped by all that is one for a coupon's grants of one statement: where it is not, no group has the right positions.
  -- A subquery in parentheses is a probe. For a join or an exists () the planner may read all coupons, users or grants.
  select g.*, r.rule
  into v_broken
  from (
    select
      n.coupon_id,
      n.issued_at,
      n.issued_on,
      n.expiry,
      n.used_date,
      (select c from coupon.coupons c where c.id = n.coupon_id) as coupon,
      count(*) as rows,
      count((select u.id from coupon.users u where u.id = n.user_id)) as users,
      min(n.position) as first_position,
      max(n.position) as last_position
    from new_grants n
    group by n.coupon_id, n.issued_at, n.issued_on, n.expiry, n.used_date
  ) g
  cross join lateral (
    select case
      when (g.coupon).expiry is distinct from g.expiry then 'user_coupons_coupon_and_expiry'
      -- Not transaction_timestamp(): the transaction may have begun before expiry, or yesterday.
      when g.issued_at < statement_timestamp() or g.issued_at > v_now then 'user_coupons_issued_at_is_now'
      when g.issued_on <> (g.issued_at at time zone (g.coupon).time_zone)::date
        then 'user_coupons_issued_on_is_today'
      when g.used_date is not null then 'user_coupons_begin_unused'
      when g.users < g.rows then 'user_coupons_user'
      when g.last_position <> (g.coupon).issued or g.first_position <> (g.coupon).issued - g.rows + 1
        or g.first_position > 1 and (
          select true from coupon.user_coupons p
          where coupon.position_key(p.coupon_id, p.position)
            = coupon.position_key(g.coupon_id, g.first_position - 1)) is null
        then 'user_coupons_position_follows_issued'
      when g.issued_at < (g.coupon).start_time then 'user_coupons_issued_after_start' -- last: see below
    end as rule
  ) r
  where r.rule is not null
  limit 1;
  if not found then
    return null;
  end if;
  -- Nothing else is wrong with these. Before the start they are right if they are all of the statement, from the early start
  -- on, and for members of the coupon's group. Asked here, where no other grant comes.
  select v_broken.rule = 'user_coupons_issued_after_start'
    and v_broken.issued_at >= (v_broken.coupon).eligible_from
    and count(*) = v_broken.rows
    and count((
      select m.user_id from coupon.group_members m
      where m.group_name = (v_broken.coupon).eligible_group and m.user_id = n.user_id)) = v_broken.rows
  into v_is_early
  from new_grants n;
  if v_is_early is not true then
    raise exception '%', case v_broken.rule
      when 'user_coupons_coupon_and_expiry' then
        format('coupon %s has not this expiry, or is not there', v_broken.coupon_id)
      when 'user_coupons_issued_at_is_now' then 'issued_at is not the database clock of this statement'
      when 'user_coupons_issued_after_start' then
        format('coupon %s starts at %s%s', v_broken.coupon_id, (v_broken.coupon).start_time,
          ', and for members of ' || (v_broken.coupon).eligible_group || ' at ' || (v_broken.coupon).eligible_from)
      when 'user_coupons_issued_on_is_today' then
        format('issued_on is not the day of issued_at in %s', (v_broken.coupon).time_zone)
      when 'user_coupons_begin_unused' then 'a grant begins unused'
      when 'user_coupons_user' then 'a grant for a user that doesn''t exist'
      when 'user_coupons_position_follows_issued' then
        format('coupon %s has issued %s: %s new grants alike can''t have positions %s to %s',
          v_broken.coupon_id, (v_broken.coupon).issued, v_broken.rows, v_broken.first_position, v_broken.last_position)
    end
      using errcode = case
          when v_broken.rule in ('user_coupons_coupon_and_expiry', 'user_coupons_user') then 'foreign_key_violation'
          else 'check_violation'
        end,
        schema = 'coupon', table = 'user_coupons', constraint = v_broken.rule,
        hint = 'Call issue_coupon(user_id, coupon_id): it gives a grant all that it must have.';
  end if;
  return null;
end
$$;
comment on function coupon.check_new_grants() is
  'Rules 1, 2, 3 and 6 for any insert into user_coupons: the new positions are the next ones, up to
coupons.issued (which is checked against count); they are issued now by the database clock, not
before start_time (of its group''s members, eligible_from), on today''s date, with their coupon''s expiry, to users who exist.';

create trigger user_coupons_check_new_grants
  after insert on coupon.user_coupons
  referencing new table as new_grants
  for each statement
  execute function coupon.check_new_grants();

create function coupon.check_gone_grants() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_coupon_id bigint;
begin
  select g.coupon_id into v_coupon_id
  from (
    select o.coupon_id, min(o.position) as first_position, max(o.position) as last_position, count(*) as rows
    from old_grants o
    group by o.coupon_id
  ) g
  left join coupon.retired_coupons r on r.coupon_id = g.coupon_id
  where r.coupon_id is null or g.first_position <> r.grants_left + 1 or g.last_position <> r.grants_left + g.rows
  limit 1;
  if found then
    raise exception 'a grant of coupon %, which is not retired, or not up to this one', v_coupon_id
      using errcode = 'check_violation', schema = 'coupon', table = 'user_coupons',
        constraint = 'user_coupons_grant_is_permanent', hint = 'retire_coupons() moves out what is over.';
  end if;
  return null;
end
$$;
comment on function coupon.check_gone_grants() is
  'For any delete from user_coupons: they are the last grants of a retired coupon, whose grants_left leaves them out.';

create trigger user_coupons_grant_is_permanent
  after delete on coupon.user_coupons
  referencing old table as old_grants
  for each statement
  execute function coupon.check_gone_grants();

create trigger user_coupons_grant_is_permanent_truncate
  before truncate on coupon.user_coupons
  for each statement
  execute function coupon.refuse_change(
    'user_coupons_grant_is_permanent', 'a grant is never deleted');

create trigger user_coupons_grant_is_immutable
  before update on coupon.user_coupons
  for each row
  when (old.coupon_id is distinct from new.coupon_id
    or old.user_id is distinct from new.user_id
    or old.position is distinct from new.position
    or old.issued_on is distinct from new.issued_on
    or old.issued_at is distinct from new.issued_at)
  execute function coupon.refuse_change(
    'user_coupons_grant_is_immutable', 'of a grant only its use can change: use_coupon(), undo_use()');

create function coupon.check_expiry() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if new.expiry is distinct from (select c.expiry from coupon.coupons c where c.id = new.coupon_id) then
    raise exception 'coupon % has not this expiry, or is not there', new.coupon_id
      using errcode = 'foreign_key_violation', schema = 'coupon', table = 'user_coupons',
        constraint = 'user_coupons_coupon_and_expiry', hint = 'set_coupon_expiry() changes it for all grants of a coupon.';
  end if;
  return new;
end
$$;
comment on function coupon.check_expiry() is
  'For any update of a grant''s expiry: it is its coupon''s. check_new_grants() sees to it for an insert.';

create trigger user_coupons_coupon_and_expiry
  before update on coupon.user_coupons
  for each row
  when (old.expiry is distinct from new.expiry)
  execute function coupon.check_expiry();

create function coupon.check_use() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_earliest timestamptz;
begin
  if old.used_date is null then
    v_earliest := coupon.earliest_use(old);
    if new.used_date not between greatest(statement_timestamp(), v_earliest) and greatest(clock_timestamp(), v_earliest) then
      raise exception 'used_date is not the database clock of this statement'
        using errcode = 'check_violation', schema = 'coupon', table = 'user_coupons',
          constraint = 'user_coupons_used_date_is_now', hint = 'clock_timestamp() is.';
    end if;
    if coupon.keeps_snapshot() then
      perform from coupon.users u where u.id = new.user_id for key share; -- forgotten since: 40001
    end if;
    if not exists (select from coupon.users u where u.id = new.user_id) then
      raise exception 'user % is forgotten, or is not there', new.user_id
        using errcode = 'foreign_key_violation', schema = 'coupon', table = 'user_coupons',
          constraint = 'user_coupons_user';
    end if;
  elsif new.used_date = old.used_date and new.use_reference = coupon.forgotten()
    and exists (select from coupon.forgotten_users f where f.user_id = old.user_id)
  then
    return new;
  elsif new.used_date is not null then
    raise exception 'coupon % of user % was used at %', old.coupon_id, old.user_id, old.used_date
      using errcode = 'check_violation', schema = 'coupon', table = 'user_coupons',
        constraint = 'user_coupons_used_once';
  elsif not exists (
    select from coupon.audit a
    where a.user_id = old.user_id and a.coupon_id = old.coupon_id and a.used_date = old.used_date
      and a.command = 'undo_use'
  ) then
    raise exception 'a use is taken back by undo_use(user_id, coupon_id, reason) only'
      using errcode = 'check_violation', schema = 'coupon', table = 'user_coupons',
        constraint = 'user_coupons_undo_leaves_trace';
  end if;
  return new;
end
$$;
comment on function coupon.check_use() is
  'Rule 5 for any update: a use is now, once, and taken back only with its trace in the audit. Of a user who is forgotten
it changes no more, but for its reference, which is taken out.';

create trigger user_coupons_check_use
  before update on coupon.user_coupons
  for each row
  when (old.used_date is distinct from new.used_date
    or old.use_reference is distinct from new.use_reference)
  execute function coupon.check_use();

create function coupon.count_use() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_by integer := case when new.used_date is null then -1 else 1 end;
begin
  update coupon.use_counts c set used = c.used + v_by
  where c.coupon_id = new.coupon_id and c.shard = (
    select u.shard from coupon.use_counts u
    where u.coupon_id = new.coupon_id
    order by u.shard
    limit 1
    for no key update skip locked);
  if not found then
    insert into coupon.use_counts (coupon_id, shard, used)
    values (new.coupon_id, (random() * 2147483647)::integer, v_by);
  end if;
  return null;
end
$$;
comment on function coupon.count_use() is
  'Moves the count of a coupon''s used grants by the use that was made or taken back, in a row that no other transaction holds.';

create trigger user_coupons_count_use
  after update of used_date on coupon.user_coupons
  for each row
  when ((old.used_date is null) <> (new.used_date is null))
  execute function coupon.count_use();

-- migrate:down

drop trigger user_coupons_count_use on coupon.user_coupons;
drop trigger user_coupons_check_use on coupon.user_coupons;
drop trigger user_coupons_coupon_and_expiry on coupon.user_coupons;
drop trigger user_coupons_grant_is_immutable on coupon.user_coupons;
drop trigger user_coupons_grant_is_permanent_truncate on coupon.user_coupons;
drop trigger user_coupons_grant_is_permanent on coupon.user_coupons;
drop trigger user_coupons_check_new_grants on coupon.user_coupons;
drop function coupon.count_use();
drop function coupon.check_use();
drop function coupon.check_expiry();
drop function coupon.check_gone_grants();
drop function coupon.check_new_grants();

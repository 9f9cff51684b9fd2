-- migrate:up

-- Constraints that PostgreSQL can't declare in a table: each is a trigger that raises 23514 (check_violation) under a
-- constraint name of its own. They belong to the tables, so they live in a migration and call nothing in sql/.
-- Those on the way of a grant are planned for probes by key, because a plan may be older than the rows.

-- One firing for each insert statement, that is for each batch.
create function coupon.check_new_grants() returns trigger
  language plpgsql
  set search_path = ''
  set enable_seqscan = off
as $$
declare
  v_batch record;
begin
  for v_batch in
    select
      c.id, c.issued, c.start_time, c.time_zone, g.rows, g.first_position, g.last_position,
      g.first_issued_at, g.last_issued_at, g.first_issued_on, g.last_issued_on, g.used,
      g.first_position = 1 or exists (
        select from coupon.user_coupons p
        where p.coupon_id * 134217728 + p.position = c.id * 134217728 + g.first_position - 1) as has_predecessor
    from (
      select
        n.coupon_id,
        count(*) as rows,
        min(n.position) as first_position,
        max(n.position) as last_position,
        min(n.issued_at) as first_issued_at,
        max(n.issued_at) as last_issued_at,
        min(n.issued_on) as first_issued_on,
        max(n.issued_on) as last_issued_on,
        count(n.used_date) as used
      from new_grants n
      group by n.coupon_id
    ) g
    join coupon.coupons c on c.id = g.coupon_id
  loop
    if v_batch.last_position <> v_batch.issued
      or v_batch.first_position <> v_batch.issued - v_batch.rows + 1
      or not v_batch.has_predecessor then
      raise exception 'coupon % has issued %: % new grants can''t have positions % to %',
        v_batch.id, v_batch.issued, v_batch.rows, v_batch.first_position, v_batch.last_position
        using errcode = 'check_violation', schema = 'coupon', table = 'user_coupons',
          constraint = 'user_coupons_position_follows_issued',
          hint = 'Call issue_coupon(user_id, coupon_id).';
    end if;
    -- Not transaction_timestamp(): a transaction may have begun before expiry, or yesterday.
    if v_batch.first_issued_at < statement_timestamp() or v_batch.last_issued_at > clock_timestamp()
      or v_batch.first_issued_at <> v_batch.last_issued_at then
      raise exception 'issued_at is not the database clock of this statement'
        using errcode = 'check_violation', schema = 'coupon', table = 'user_coupons',
          constraint = 'user_coupons_issued_at_is_now', hint = 'clock_timestamp() is.';
    end if;
    if v_batch.first_issued_at < v_batch.start_time then
      raise exception 'coupon % starts at %', v_batch.id, v_batch.start_time
        using errcode = 'check_violation', schema = 'coupon', table = 'user_coupons',
          constraint = 'user_coupons_issued_after_start';
    end if;
    if v_batch.first_issued_on <> v_batch.last_issued_on
      or v_batch.first_issued_on <> (v_batch.first_issued_at at time zone v_batch.time_zone)::date then
      raise exception 'issued_on is not the day of issued_at in %', v_batch.time_zone
        using errcode = 'check_violation', schema = 'coupon', table = 'user_coupons',
          constraint = 'user_coupons_issued_on_is_today';
    end if;
    if v_batch.used > 0 then
      raise exception 'a grant begins unused'
        using errcode = 'check_violation', schema = 'coupon', table = 'user_coupons',
          constraint = 'user_coupons_begin_unused';
    end if;
  end loop;
  return null;
end
$$;
comment on function coupon.check_new_grants() is
  'Rules 1, 2, 3 and 6 for any insert into user_coupons: new positions are the next ones up to coupons.issued (which is
checked against count), at the database clock, not before start_time, on today''s date.';

create trigger user_coupons_check_new_grants
  after insert on coupon.user_coupons
  referencing new table as new_grants
  for each statement
  execute function coupon.check_new_grants();

create function coupon.check_issued_equals_grants() returns trigger
  language plpgsql
  security definer -- deferred: before PostgreSQL 18 it runs at commit as whoever commits
  set search_path = ''
  set enable_seqscan = off
as $$
declare
  v_issued integer;
  v_has_last boolean;
  v_has_more boolean;
begin
  -- As they are at commit: one transaction may have issued several batches.
  select c.issued into v_issued from coupon.coupons c where c.id = new.id;
  -- New grants have no gaps, so two probes tell the highest position.
  v_has_last := v_issued = 0 or exists (
    select from coupon.user_coupons g
    where g.coupon_id * 134217728 + g.position = new.id * 134217728 + v_issued);
  v_has_more := exists (
    select from coupon.user_coupons g
    where g.coupon_id * 134217728 + g.position = new.id * 134217728 + v_issued + 1);
  if v_has_more or not v_has_last then
    raise exception 'coupon % says issued %, and its grants have % positions', new.id, v_issued,
      case when v_has_more then 'more' else 'fewer' end
      using errcode = 'check_violation', schema = 'coupon', table = 'coupons',
        constraint = 'coupons_issued_equals_grants',
        hint = 'Call issue_coupon(user_id, coupon_id), or set_coupon_count(coupon_id, count) for a new count.';
  end if;
  return null;
end
$$;
comment on function coupon.check_issued_equals_grants() is
  'Rules 2 and 6 for any change of coupons.issued: at commit it equals the highest position.';

create constraint trigger coupons_issued_equals_grants
  after insert or update of id, issued on coupon.coupons
  deferrable initially deferred
  for each row
  execute function coupon.check_issued_equals_grants();

create function coupon.refuse_change() returns trigger
  language plpgsql
  set search_path = ''
as $$
begin
  raise exception '%', tg_argv[1]
    using errcode = 'check_violation', schema = tg_table_schema, table = tg_table_name, constraint = tg_argv[0];
end
$$;
comment on function coupon.refuse_change() is
  'Raises under the constraint name and with the sentence that the trigger gives; when, says the trigger.';

-- So that "once issued" stays true within a transaction as well.
create trigger coupons_issued_never_falls
  before update on coupon.coupons
  for each row
  when (new.issued < old.issued)
  execute function coupon.refuse_change(
    'coupons_issued_never_falls', 'what was issued stays issued');

create trigger coupons_start_time_is_fixed_once_issued
  before update on coupon.coupons
  for each row
  when (old.issued > 0 and old.start_time <> new.start_time)
  execute function coupon.refuse_change(
    'coupons_start_time_is_fixed_once_issued', 'the start_time of a coupon that was issued can''t change');

create trigger user_coupons_grant_is_permanent
  before delete on coupon.user_coupons
  for each statement
  execute function coupon.refuse_change(
    'user_coupons_grant_is_permanent', 'a grant is never deleted');

create trigger user_coupons_grant_is_permanent_truncate
  before truncate on coupon.user_coupons
  for each statement
  execute function coupon.refuse_change(
    'user_coupons_grant_is_permanent', 'a grant is never deleted');

create trigger user_coupons_grant_is_immutable
  before update on coupon.user_coupons
  for each row
  when ((old.coupon_id, old.user_id, old.position, old.issued_on, old.issued_at)
    is distinct from (new.coupon_id, new.user_id, new.position, new.issued_on, new.issued_at))
  execute function coupon.refuse_change(
    'user_coupons_grant_is_immutable', 'of a grant only its use can change: use_coupon(), undo_use()');

create function coupon.check_use() returns trigger
  language plpgsql
  set search_path = ''
as $$
begin
  if old.used_date is null then
    if new.used_date not between statement_timestamp() and clock_timestamp() then
      raise exception 'used_date is not the database clock of this statement'
        using errcode = 'check_violation', schema = 'coupon', table = 'user_coupons',
          constraint = 'user_coupons_used_date_is_now', hint = 'clock_timestamp() is.';
    end if;
  elsif new.used_date is not null then
    raise exception 'coupon % of user % was used at %', old.coupon_id, old.user_id, old.used_date
      using errcode = 'check_violation', schema = 'coupon', table = 'user_coupons',
        constraint = 'user_coupons_used_once';
  elsif not exists (
    select from coupon.undone_uses u
    where u.coupon_id = old.coupon_id and u.user_id = old.user_id and u.used_date = old.used_date
  ) then
    raise exception 'a use is taken back by undo_use(user_id, coupon_id, reason) only'
      using errcode = 'check_violation', schema = 'coupon', table = 'user_coupons',
        constraint = 'user_coupons_undo_leaves_trace';
  end if;
  return new;
end
$$;
comment on function coupon.check_use() is
  'Rule 5 for any update: a use is now, once, and taken back only with its trace in undone_uses.';

create trigger user_coupons_check_use
  before update on coupon.user_coupons
  for each row
  when ((old.used_date, old.use_reference) is distinct from (new.used_date, new.use_reference))
  execute function coupon.check_use();

create trigger undone_uses_are_permanent
  before delete or update on coupon.undone_uses
  for each statement
  execute function coupon.refuse_change(
    'undone_uses_are_permanent', 'the trace of an undone use is never changed');

create trigger undone_uses_are_permanent_truncate
  before truncate on coupon.undone_uses
  for each statement
  execute function coupon.refuse_change(
    'undone_uses_are_permanent', 'the trace of an undone use is never changed');

create function coupon.check_trace() returns trigger
  language plpgsql
  set search_path = ''
as $$
begin
  if new.undone_by <> session_user
    or new.undone_at not between statement_timestamp() and clock_timestamp()
    or not exists (
      select from coupon.user_coupons g
      where g.coupon_id = new.coupon_id and g.user_id = new.user_id
        and (g.used_date, g.use_reference) = (new.used_date, new.use_reference))
  then
    raise exception 'coupon % of user % has no such use, or it is not undone now by %',
      new.coupon_id, new.user_id, session_user
      using errcode = 'check_violation', schema = 'coupon', table = 'undone_uses',
        constraint = 'undone_uses_tell_the_use', hint = 'Call undo_use(user_id, coupon_id, reason).';
  end if;
  return new;
end
$$;
comment on function coupon.check_trace() is
  'For any insert into undone_uses: the trace tells the use that is there, who undoes it and when.';

create trigger undone_uses_tell_the_use
  before insert on coupon.undone_uses
  for each row
  execute function coupon.check_trace();

create function coupon.check_use_is_undone() returns trigger
  language plpgsql
  security definer -- deferred: before PostgreSQL 18 it runs at commit as whoever commits
  set search_path = ''
as $$
begin
  if exists (
    select from coupon.user_coupons g
    where g.coupon_id = new.coupon_id and g.user_id = new.user_id and g.used_date = new.used_date)
  then
    raise exception 'the use of coupon % by user % at % is still there',
      new.coupon_id, new.user_id, new.used_date
      using errcode = 'check_violation', schema = 'coupon', table = 'undone_uses',
        constraint = 'undone_uses_are_undone', hint = 'Call undo_use(user_id, coupon_id, reason).';
  end if;
  return null;
end
$$;
comment on function coupon.check_use_is_undone() is
  'For any insert into undone_uses: at commit the use is gone.';

create constraint trigger undone_uses_are_undone
  after insert on coupon.undone_uses
  deferrable initially deferred
  for each row
  execute function coupon.check_use_is_undone();

-- migrate:down

drop trigger undone_uses_are_undone on coupon.undone_uses;
drop trigger undone_uses_tell_the_use on coupon.undone_uses;
drop trigger undone_uses_are_permanent_truncate on coupon.undone_uses;
drop trigger undone_uses_are_permanent on coupon.undone_uses;
drop trigger user_coupons_check_use on coupon.user_coupons;
drop trigger user_coupons_grant_is_immutable on coupon.user_coupons;
drop trigger user_coupons_grant_is_permanent_truncate on coupon.user_coupons;
drop trigger user_coupons_grant_is_permanent on coupon.user_coupons;
drop trigger coupons_start_time_is_fixed_once_issued on coupon.coupons;
drop trigger coupons_issued_never_falls on coupon.coupons;
drop trigger coupons_issued_equals_grants on coupon.coupons;
drop trigger user_coupons_check_new_grants on coupon.user_coupons;
drop function coupon.check_use_is_undone();
drop function coupon.check_trace();
drop function coupon.check_use();
drop function coupon.refuse_change();
drop function coupon.check_issued_equals_grants();
drop function coupon.check_new_grants();

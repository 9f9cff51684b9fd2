-- migrate:up

-- Constraints that SQL can't declare. Each is a trigger that raises 23514 (check_violation) under a
-- constraint name of its own. They belong to the tables, so they live in a migration. A few call
-- what is in sql/. That is safe: without those functions no coupon can be made.
--
-- pg_temp stands last in search_path, because PostgreSQL otherwise looks for types in the caller's
-- temporary schema first: a caller's own "date", with a check that calls what the caller likes,
-- would run with the owner's rights. enable_seqscan is off where a grant passes: its plan may be
-- older than the rows, so it must not scan a table. JIT is off where a kind of plan is: before
-- PostgreSQL 18 its cost counts as enormous, and the query is compiled for a quarter of a second.
--
-- Columns are compared one by one, not as rows: PostgreSQL reads a dump of rows back as another
-- expression, and ./sd doctor would find that a restored trigger differs.

create function coupon.refuse_change() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception '%', tg_argv[1]
    using errcode = 'check_violation', schema = tg_table_schema, table = tg_table_name, constraint = tg_argv[0];
end
$$;
comment on function coupon.refuse_change() is
  'Raises 23514 with the constraint name and the sentence that the trigger gives as arguments. The trigger says when.';

create function coupon.check_issued_equals_grants() returns trigger
  language plpgsql
  security definer -- before PostgreSQL 18 a deferred trigger runs as whoever commits
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
declare
  v_coupon record;
begin
  -- Not new.issued: one transaction may issue several batches, and only what it leaves at commit counts. Positions have
  -- no gaps, so one probe finds out whether issued is the highest one.
  select
    c.issued,
    coalesce((
      select g.position from coupon.user_coupons g
      where coupon.position_key(g.coupon_id, g.position)
        between coupon.position_key(c.id, c.issued) and coupon.position_key(c.id, c.issued + 1)
      order by coupon.position_key(g.coupon_id, g.position) desc
      limit 1), 0) as last_position
  into v_coupon
  from coupon.coupons c
  where c.id = new.id;
  if v_coupon.last_position <> v_coupon.issued then
    raise exception 'coupon % says issued %, and its grants have % positions', new.id, v_coupon.issued,
      case when v_coupon.last_position > v_coupon.issued then 'more' else 'fewer' end
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

-- Not a generated column: that is computed anew by every update of its row, so new rules for a zone
-- would move a coupon at its next grant, onto a day that may be full.
create function coupon.decide_day() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  new.live_on := (new.start_time at time zone new.time_zone)::date;
  return new;
end
$$;
comment on function coupon.decide_day() is
  'Rule 4: live_on is the day of start_time, by the zone''s rules of the moment in which it is decided,
whatever the statement says.';

create trigger coupons_day_is_decided
  before insert on coupon.coupons
  for each row
  execute function coupon.decide_day();

create trigger coupons_day_is_decided_anew
  before update of start_time, time_zone, live_on on coupon.coupons
  for each row
  when (old.start_time is distinct from new.start_time
    or old.time_zone is distinct from new.time_zone
    or old.live_on is distinct from new.live_on)
  execute function coupon.decide_day();

-- Whoever issues says it: it is the time of the last grant. Any other change of the stock is timed here.
create function coupon.time_sell_out() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
begin
  new.sold_out_at := case when new.issued = new.count then greatest(clock_timestamp(), (
    select g.issued_at from coupon.user_coupons g
    where coupon.position_key(g.coupon_id, g.position) = coupon.position_key(new.id, new.issued))) end;
  return new;
end
$$;
comment on function coupon.time_sell_out() is
  'sold_out_at for a change of count that takes away what was left, or brings something back. It is not before the last grant,
even if the clock was set back since.';

create trigger coupons_time_sell_out
  before update of count, issued on coupon.coupons
  for each row
  when ((new.sold_out_at is not null) <> (new.issued = new.count))
  execute function coupon.time_sell_out();

create trigger coupons_sold_out_at_is_kept
  before update on coupon.coupons
  for each row
  when (old.sold_out_at is distinct from new.sold_out_at and old.issued = new.issued and old.count = new.count)
  execute function coupon.refuse_change(
    'coupons_sold_out_at_is_kept', 'sold_out_at follows count and issued: set_coupon_count() changes what is left');

-- Without it a transaction could set issued back to 0, move start_time, and issue again.
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

-- Triggers, and no checks: PostgreSQL prepares each check of a table anew for each update, and each batch makes one.
create trigger coupons_eligible_group_has_start
  before insert or update of eligible_group, eligible_from on coupon.coupons
  for each row
  when ((new.eligible_group is null) <> (new.eligible_from is null))
  execute function coupon.refuse_change(
    'coupons_eligible_group_has_start', 'a group goes with a start of its own');

create trigger coupons_eligible_group_is_plain
  before insert or update of eligible_group on coupon.coupons
  for each row
  when (new.eligible_group !~ '^[A-Za-z0-9_-]{1,64}$')
  execute function coupon.refuse_change(
    'coupons_eligible_group_is_plain', 'the name of a group has 1 to 64 letters, digits, - or _');

create trigger coupons_eligible_from_before_start
  before insert or update of start_time, eligible_from on coupon.coupons
  for each row
  when (new.eligible_from < '1970-01-01Z' or new.eligible_from >= new.start_time)
  execute function coupon.refuse_change(
    'coupons_eligible_from_before_start', 'the start of a group is before that of everybody, and not before 1970');

create trigger coupons_group_is_fixed_once_issued
  before update of eligible_group, eligible_from on coupon.coupons
  for each row
  when (old.issued > 0
    and (old.eligible_group is distinct from new.eligible_group or old.eligible_from is distinct from new.eligible_from))
  execute function coupon.refuse_change(
    'coupons_group_is_fixed_once_issued', 'the group of a coupon that was issued, and its start, can''t change');

create trigger coupons_code_is_fixed_once_issued
  before update of code on coupon.coupons
  for each row
  when (old.issued > 0 and old.code <> new.code)
  execute function coupon.refuse_change(
    'coupons_code_is_fixed_once_issued', 'the code of a coupon that was issued can''t change');

create function coupon.check_coupon_is_retired() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from coupon.retired_coupons r where r.coupon_id = old.id and r.issued = old.issued) then
    raise exception 'coupon % was issued, and is not retired', old.id
      using errcode = 'check_violation', schema = 'coupon', table = 'coupons',
        constraint = 'coupons_are_permanent_once_issued',
        hint = 'pause_coupon() ends issuing; retire_coupons() takes out what is over.';
  end if;
  return old;
end
$$;
comment on function coupon.check_coupon_is_retired() is
  'A coupon that was issued is deleted only once it stands in coupon.retired_coupons.';

create trigger coupons_are_permanent_once_issued
  before delete on coupon.coupons
  for each row
  when (old.issued > 0)
  execute function coupon.check_coupon_is_retired();

create trigger coupons_are_permanent_once_issued_id
  before update of id on coupon.coupons
  for each row
  when (old.issued > 0 and old.id <> new.id)
  execute function coupon.refuse_change(
    'coupons_are_permanent_once_issued', 'the id of a coupon that was issued never changes');

create trigger coupons_are_permanent_once_issued_truncate
  before truncate on coupon.coupons
  for each statement
  execute function coupon.refuse_change(
    'coupons_are_permanent_once_issued', 'a coupon that was issued is never deleted: pause_coupon() ends issuing');

create function coupon.carry_expiry() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  update coupon.user_coupons g set expiry = new.expiry where g.coupon_id = new.id;
  return null;
end
$$;
comment on function coupon.carry_expiry() is
  'Gives all grants of the coupon its new expiry. Nobody can be granted meanwhile: the coupon''s row is locked.';

create trigger coupons_carry_expiry
  after update of expiry on coupon.coupons
  for each row
  when (old.expiry <> new.expiry)
  execute function coupon.carry_expiry();

-- migrate:down

drop trigger coupons_carry_expiry on coupon.coupons;
drop trigger coupons_are_permanent_once_issued_truncate on coupon.coupons;
drop trigger coupons_are_permanent_once_issued_id on coupon.coupons;
drop trigger coupons_are_permanent_once_issued on coupon.coupons;
drop trigger coupons_code_is_fixed_once_issued on coupon.coupons;
drop trigger coupons_group_is_fixed_once_issued on coupon.coupons;
drop trigger coupons_eligible_from_before_start on coupon.coupons;
drop trigger coupons_eligible_group_is_plain on coupon.coupons;
drop trigger coupons_eligible_group_has_start on coupon.coupons;
drop trigger coupons_start_time_is_fixed_once_issued on coupon.coupons;
drop trigger coupons_issued_never_falls on coupon.coupons;
drop trigger coupons_sold_out_at_is_kept on coupon.coupons;
drop trigger coupons_time_sell_out on coupon.coupons;
drop trigger coupons_day_is_decided_anew on coupon.coupons;
drop trigger coupons_day_is_decided on coupon.coupons;
drop trigger coupons_issued_equals_grants on coupon.coupons;
drop function coupon.check_coupon_is_retired();
drop function coupon.carry_expiry();
drop function coupon.time_sell_out();
drop function coupon.decide_day();
drop function coupon.refuse_change();
drop function coupon.check_issued_equals_grants();

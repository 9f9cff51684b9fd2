-- migrate:up

-- Constraints that SQL can't declare. Each is a trigger that raises 23514 (check_violation) under a
-- constraint name of its own. They belong to the tables, so they live in a migration and call
-- nothing in sql/.
--
-- pg_temp stands last in search_path, because PostgreSQL otherwise looks for types in the caller's
-- temporary schema first: a caller's own "date", with a check that calls what the caller likes,
-- would run with the owner's rights. enable_seqscan is off where a grant passes: its plan may be
-- older than the rows, so it must not scan a table. JIT is off where a kind of plan is: before
-- PostgreSQL 18 its cost counts as enormous, and the query is compiled for a quarter of a second.
--
-- Columns are compared one by one, not as rows: PostgreSQL reads a dump of rows back as another
-- expression, and ./sd doctor would find that a restored trigger differs.

-- Fires once for each insert statement, and so once a batch.
--
-- There is no foreign key to users and none to coupons: PostgreSQL would check those row by row, which takes longer than
-- the insert, and the one to users would lock each user's row, and so write a random page for every grant. No lock is
-- needed. Users are permanent, and so are coupons that were issued; and who issues has the coupon's row, since the
-- positions must follow a counter that only they have moved.
create function coupon.check_new_grants() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_broken record;
begin
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
      when g.issued_at < (g.coupon).start_time then 'user_coupons_issued_after_start'
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
    end as rule
  ) r
  where r.rule is not null
  limit 1;
  if found then
    raise exception '%', case v_broken.rule
      when 'user_coupons_coupon_and_expiry' then
        format('coupon %s has not this expiry, or is not there', v_broken.coupon_id)
      when 'user_coupons_issued_at_is_now' then 'issued_at is not the database clock of this statement'
      when 'user_coupons_issued_after_start' then
        format('coupon %s starts at %s', v_broken.coupon_id, (v_broken.coupon).start_time)
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
before start_time, on today''s date, with their coupon''s expiry, to users who exist.';

create trigger user_coupons_check_new_grants
  after insert on coupon.user_coupons
  referencing new table as new_grants
  for each statement
  execute function coupon.check_new_grants();

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

create function coupon.check_user_is_forgotten() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from coupon.forgotten_users f where f.user_id = old.id) then
    raise exception 'user % is not forgotten', old.id
      using errcode = 'check_violation', schema = 'coupon', table = 'users', constraint = 'users_are_permanent',
        hint = 'Call forget_user(user_id).';
  end if;
  return old;
end
$$;
comment on function coupon.check_user_is_forgotten() is
  'A user is deleted only once its number stands in coupon.forgotten_users, or its grants would have nobody.';

create trigger users_are_permanent
  before delete on coupon.users
  for each row
  execute function coupon.check_user_is_forgotten();

create trigger users_are_permanent_id
  before update of id on coupon.users
  for each row
  when (old.id <> new.id)
  execute function coupon.refuse_change(
    'users_are_permanent', 'the id of a user never changes');

create trigger users_are_permanent_truncate
  before truncate on coupon.users
  for each statement
  execute function coupon.refuse_change(
    'users_are_permanent', 'users are deleted by forget_user(user_id) only');

-- Fires once for each insert statement, and so once for an import.
create function coupon.check_new_users() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_user_id bigint;
begin
  select n.id into v_user_id from new_users n join coupon.forgotten_users f on f.user_id = n.id limit 1;
  if found then
    raise exception 'user % is forgotten', v_user_id
      using errcode = 'check_violation', schema = 'coupon', table = 'users', constraint = 'users_stay_forgotten',
        hint = 'Give the person another number.';
  end if;
  return null;
end
$$;
comment on function coupon.check_new_users() is
  'For any insert into users: whom forget_user() removed is not made again.';

create trigger users_stay_forgotten
  after insert on coupon.users
  referencing new table as new_users
  for each statement
  execute function coupon.check_new_users();

create function coupon.check_forgotten_user() returns trigger
  language plpgsql
  security definer -- before PostgreSQL 18 a deferred trigger runs as whoever commits
  set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from coupon.users u where u.id = new.user_id) then
    raise exception 'user % is still there', new.user_id
      using errcode = 'check_violation', schema = 'coupon', table = 'forgotten_users',
        constraint = 'forgotten_users_are_gone', hint = 'Call forget_user(user_id).';
  end if;
  return null;
end
$$;
comment on function coupon.check_forgotten_user() is
  'For any insert into forgotten_users: at commit there is no such user.';

create constraint trigger forgotten_users_are_gone
  after insert on coupon.forgotten_users
  deferrable initially deferred
  for each row
  execute function coupon.check_forgotten_user();

create trigger forgotten_users_stay
  before delete or update on coupon.forgotten_users
  for each statement
  execute function coupon.refuse_change(
    'forgotten_users_stay', 'who is forgotten stays so');

create trigger forgotten_users_stay_truncate
  before truncate on coupon.forgotten_users
  for each statement
  execute function coupon.refuse_change(
    'forgotten_users_stay', 'who is forgotten stays so');

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

create trigger claim_secrets_are_fixed
  before update on coupon.claim_secrets
  for each row
  when (old.id <> new.id
    or old.created_at <> new.created_at
    or old.retired_at is not null
    or new.key is not null and old.key is distinct from new.key)
  execute function coupon.refuse_change(
    'claim_secrets_are_fixed', 'a secret can only be retired, once: retire_claim_secret(secret_id)');

create trigger claim_secrets_are_permanent
  before delete on coupon.claim_secrets
  for each statement
  execute function coupon.refuse_change(
    'claim_secrets_are_permanent', 'a secret is never deleted: retire_claim_secret(secret_id)');

create trigger claim_secrets_are_permanent_truncate
  before truncate on coupon.claim_secrets
  for each statement
  execute function coupon.refuse_change(
    'claim_secrets_are_permanent', 'a secret is never deleted: retire_claim_secret(secret_id)');

create trigger audit_is_permanent
  before delete on coupon.audit
  for each statement
  execute function coupon.refuse_change(
    'audit_is_permanent', 'the audit is only ever added to');

create function coupon.check_audit_change() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_gone jsonb := jsonb_build_object('use_reference', coupon.forgotten());
  v_reason text := replace(replace(replace(new.reason, '\', '\\'), '%', '\%'), '_', '\_');
begin
  -- What is left of a reason stood in it, in this order.
  if (new.id, new.at, new.login, new.command) = (old.id, old.at, old.login, old.command)
    and new.actor is not distinct from old.actor
    and new.coupon_id is not distinct from old.coupon_id
    and new.user_id is not distinct from old.user_id
    and new.used_date is not distinct from old.used_date
    and (new.reason is not distinct from old.reason or old.reason like replace(v_reason, coupon.forgotten(), '%'))
    and (new.old_values is not distinct from old.old_values or new.old_values = old.old_values || v_gone)
    and (new.new_values is not distinct from old.new_values or new.new_values = old.new_values || v_gone)
    and (row(new.old_values, new.new_values) is not distinct from row(old.old_values, old.new_values)
      or exists (select from coupon.forgotten_users f where f.user_id = old.user_id))
  then
    return new;
  end if;
  raise exception 'the audit is only ever added to'
    using errcode = 'check_violation', schema = 'coupon', table = 'audit', constraint = 'audit_is_permanent',
      hint = 'forget_user() takes out words.';
end
$$;
comment on function coupon.check_audit_change() is
  'For any update of the audit: words are taken out, of a reason or the reference of a user who is forgotten, and nothing else.';

create trigger audit_is_permanent_update
  before update on coupon.audit
  for each row
  execute function coupon.check_audit_change();

create trigger audit_is_permanent_truncate
  before truncate on coupon.audit
  for each statement
  execute function coupon.refuse_change(
    'audit_is_permanent', 'the audit is only ever added to');

create function coupon.check_audit() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_is_so boolean;
begin
  if new.login <> session_user or new.at not between statement_timestamp() and clock_timestamp() then
    raise exception 'it is not % who did this at %', new.login, new.at
      using errcode = 'check_violation', schema = 'coupon', table = 'audit',
        constraint = 'audit_tells_who_and_when', hint = 'login and at have defaults.';
  end if;
  if new.command in ('use_coupon', 'undo_use') then
    v_is_so := exists (
      select from coupon.user_coupons g
      where g.coupon_id = new.coupon_id and g.user_id = new.user_id and g.used_date = new.used_date
        and jsonb_build_object('use_reference', g.use_reference)
          = case new.command when 'use_coupon' then new.new_values else new.old_values end);
  else
    v_is_so := num_nonnulls(new.user_id, new.used_date) = (new.command = 'forget_user')::integer and case new.command
      when 'forget_user' then new.coupon_id is null and new.old_values is null and new.new_values is null and exists (
        select from coupon.forgotten_users f where f.user_id = new.user_id)
      when 'import_users' then new.coupon_id is null
      when 'set_time_zone' then new.coupon_id is null and exists (
        select from coupon.settings s where to_jsonb(s) @> new.new_values)
      when 'set_plan_entry' then new.coupon_id is null and exists (
        select from coupon.plan p where to_jsonb(p) = new.new_values)
      when 'remove_plan_entry' then new.coupon_id is null and new.new_values is null and new.old_values is not null
        and not exists (
          select from coupon.plan p
          where p.weekday = (new.old_values->>'weekday')::smallint and p.slot = (new.old_values->>'slot')::smallint)
      when 'rotate_claim_secret' then new.coupon_id is null and exists (
        select from coupon.claim_secrets s
        where jsonb_build_object('secret_id', s.id) = new.new_values and s.retired_at is null)
      when 'retire_claim_secret' then new.coupon_id is null and exists (
        select from coupon.claim_secrets s
        where jsonb_build_object('secret_id', s.id) = new.new_values and s.retired_at is not null)
      when 'retire_coupons' then new.new_values is null and new.old_values is not null and exists (
        select from coupon.retired_coupons r where r.coupon_id = new.coupon_id and r.code = new.old_values->>'code')
      when 'withdraw_coupon' then new.new_values is null and new.old_values is not null and new.coupon_id is not null
        and not exists (select from coupon.coupons c where c.id = new.coupon_id)
      else exists (
        select from coupon.coupons c where c.id = new.coupon_id and to_jsonb(c) @> new.new_values) end;
  end if;
  if not v_is_so then
    raise exception '% of %, which is not so', new.command, coalesce(new.new_values, new.old_values)
      using errcode = 'check_violation', schema = 'coupon', table = 'audit',
        constraint = 'audit_tells_what_is', hint = 'The function writes it: call that.';
  end if;
  return new;
end
$$;
comment on function coupon.check_audit() is
  'For any insert into audit: login and at are those of this statement, and the values are what the
tables say, of the use that was made or is undone, of the coupon, of the plan, of the time zone, or of
the secret of claim codes; what was withdrawn or removed is not there, and who is forgotten is so.';

create trigger audit_tells_what_is
  before insert on coupon.audit
  for each row
  execute function coupon.check_audit();

create function coupon.check_use_is_undone() returns trigger
  language plpgsql
  security definer -- before PostgreSQL 18 a deferred trigger runs as whoever commits
  set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
    select from coupon.user_coupons g
    where g.coupon_id = new.coupon_id and g.user_id = new.user_id and g.used_date = new.used_date)
  then
    raise exception 'the use of coupon % by user % at % is still there',
      new.coupon_id, new.user_id, new.used_date
      using errcode = 'check_violation', schema = 'coupon', table = 'audit',
        constraint = 'audit_undo_is_done', hint = 'Call undo_use(user_id, coupon_id, reason).';
  end if;
  return null;
end
$$;
comment on function coupon.check_use_is_undone() is
  'For any undo_use in the audit: at commit the use is no longer there.';

create constraint trigger audit_undo_is_done
  after insert on coupon.audit
  deferrable initially deferred
  for each row
  when (new.command = 'undo_use')
  execute function coupon.check_use_is_undone();

-- migrate:down

drop trigger audit_undo_is_done on coupon.audit;
drop trigger audit_tells_what_is on coupon.audit;
drop trigger audit_is_permanent_truncate on coupon.audit;
drop trigger audit_is_permanent_update on coupon.audit;
drop trigger audit_is_permanent on coupon.audit;
drop trigger claim_secrets_are_permanent_truncate on coupon.claim_secrets;
drop trigger claim_secrets_are_permanent on coupon.claim_secrets;
drop trigger claim_secrets_are_fixed on coupon.claim_secrets;
drop trigger user_coupons_count_use on coupon.user_coupons;
drop trigger user_coupons_check_use on coupon.user_coupons;
drop trigger user_coupons_coupon_and_expiry on coupon.user_coupons;
drop trigger user_coupons_grant_is_immutable on coupon.user_coupons;
drop trigger forgotten_users_stay_truncate on coupon.forgotten_users;
drop trigger forgotten_users_stay on coupon.forgotten_users;
drop trigger forgotten_users_are_gone on coupon.forgotten_users;
drop trigger users_stay_forgotten on coupon.users;
drop trigger users_are_permanent_truncate on coupon.users;
drop trigger users_are_permanent_id on coupon.users;
drop trigger users_are_permanent on coupon.users;
drop trigger user_coupons_grant_is_permanent_truncate on coupon.user_coupons;
drop trigger user_coupons_grant_is_permanent on coupon.user_coupons;
drop trigger coupons_carry_expiry on coupon.coupons;
drop trigger coupons_are_permanent_once_issued_truncate on coupon.coupons;
drop trigger coupons_are_permanent_once_issued_id on coupon.coupons;
drop trigger coupons_are_permanent_once_issued on coupon.coupons;
drop trigger coupons_code_is_fixed_once_issued on coupon.coupons;
drop trigger coupons_start_time_is_fixed_once_issued on coupon.coupons;
drop trigger coupons_issued_never_falls on coupon.coupons;
drop trigger coupons_sold_out_at_is_kept on coupon.coupons;
drop trigger coupons_time_sell_out on coupon.coupons;
drop trigger coupons_day_is_decided_anew on coupon.coupons;
drop trigger coupons_day_is_decided on coupon.coupons;
drop trigger coupons_issued_equals_grants on coupon.coupons;
drop trigger user_coupons_check_new_grants on coupon.user_coupons;
drop function coupon.check_use_is_undone();
drop function coupon.check_audit_change();
drop function coupon.check_audit();
drop function coupon.count_use();
drop function coupon.check_use();
drop function coupon.check_expiry();
drop function coupon.check_gone_grants();
drop function coupon.check_coupon_is_retired();
drop function coupon.check_forgotten_user();
drop function coupon.check_new_users();
drop function coupon.check_user_is_forgotten();
drop function coupon.carry_expiry();
drop function coupon.time_sell_out();
drop function coupon.decide_day();
drop function coupon.refuse_change();
drop function coupon.check_issued_equals_grants();
drop function coupon.check_new_grants();

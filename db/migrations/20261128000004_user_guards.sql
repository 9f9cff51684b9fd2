-- migrate:up

-- What holds of users and of who is forgotten, where SQL can't declare it.

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
  -- The planner takes an array for ten elements, and would look through all of it for each row of a small table.
  set enable_seqscan = off
  set jit = off
as $$
declare
  v_user_id bigint;
begin
  if coupon.keeps_snapshot() then
    -- Who was forgotten since is there for an old snapshot, and the lock of the row finds it out (40001).
    perform from coupon.users u where u.id = any (array(select n.id from new_users n)) for key share;
  end if;
  -- By the array: where nested loops are off, as in write_users(), a join would read all who are forgotten.
  select f.user_id into v_user_id
  from coupon.forgotten_users f
  where f.user_id = any (array(select n.id from new_users n))
  limit 1;
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

-- migrate:down

drop trigger forgotten_users_stay_truncate on coupon.forgotten_users;
drop trigger forgotten_users_stay on coupon.forgotten_users;
drop trigger forgotten_users_are_gone on coupon.forgotten_users;
drop trigger users_stay_forgotten on coupon.users;
drop trigger users_are_permanent_truncate on coupon.users;
drop trigger users_are_permanent_id on coupon.users;
drop trigger users_are_permanent on coupon.users;
drop function coupon.check_forgotten_user();
drop function coupon.check_new_users();
drop function coupon.check_user_is_forgotten();

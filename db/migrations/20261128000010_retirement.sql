-- migrate:up

-- What is left of coupons whose grants were moved out, so that the tables of a drop do not grow for ever.

create table coupon.retired_coupons (
  coupon_id bigint primary key,
  code text collate "C" not null,
  start_time timestamptz not null,
  eligible_from timestamptz,
  expiry timestamptz not null,
  live_on date not null,
  count integer not null,
  issued integer not null,
  asked bigint not null,
  sold_out_at timestamptz,
  grants_left integer not null,
  retired_at timestamptz not null default clock_timestamp(),
  constraint retired_coupons_grants_left_within_issued check (grants_left between 0 and issued)
);
create index retired_coupons_by_day on coupon.retired_coupons (live_on);
create index retired_coupons_under_way on coupon.retired_coupons (coupon_id) where grants_left > 0;
comment on table coupon.retired_coupons is
  'Coupons that retire_coupons() took out, as they were; what was made of their grants is in retired_grants. For all other
functions they are not there. A day that had one of them takes no more coupons.';
comment on column coupon.retired_coupons.eligible_from is
  'From when the members of a group could have it; null: nobody could before start_time.';
comment on column coupon.retired_coupons.asked is
  'How many requests for it were answered.';
comment on column coupon.retired_coupons.grants_left is
  'How many of its grants are not moved out yet: those of the positions up to this one.';
comment on index coupon.retired_coupons_by_day is
  'For whoever wants to put a coupon on such a day.';
comment on index coupon.retired_coupons_under_way is
  'For retire_coupons(), which goes on with the coupon that it has begun.';

create table coupon.retired_grants (
  issued_on date,
  coupon_id bigint,
  issued integer not null,
  used integer not null,
  first_issued_at timestamptz not null,
  last_issued_at timestamptz not null,
  constraint retired_grants_pkey primary key (coupon_id, issued_on),
  constraint retired_grants_used_within_issued check (used between 0 and issued)
);
create index retired_grants_by_day on coupon.retired_grants (issued_on);
comment on table coupon.retired_grants is
  'How many grants of a coupon of a day were moved out, and how many of them were used: for daily_summary() and coupon_stats().';
comment on index coupon.retired_grants_by_day is
  'For daily_summary().';

create function coupon.check_retired_coupon() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if new.grants_left <> new.issued
    or new.asked < new.issued
    or new.expiry >= clock_timestamp() - interval '32 days'
    or not exists (
      select from coupon.coupons c
      where c.id = new.coupon_id and c.code = new.code and c.start_time = new.start_time and c.expiry = new.expiry
        and c.eligible_from is not distinct from new.eligible_from
        and c.live_on = new.live_on and c.count = new.count and c.issued = new.issued
        and c.sold_out_at is not distinct from new.sold_out_at)
  then
    raise exception 'coupon % is not so, or has not been over for a month', new.coupon_id
      using errcode = 'check_violation', schema = 'coupon', table = 'retired_coupons',
        constraint = 'retired_coupons_are_over', hint = 'Call retire_coupons(before).';
  end if;
  return new;
end
$$;
comment on function coupon.check_retired_coupon() is
  'For any insert into retired_coupons: it is a coupon that has been over for 32 days, whatever zone is set, so nobody can get
or use it any more, and the days of its grants are over.';

create trigger retired_coupons_are_over
  before insert on coupon.retired_coupons
  for each row
  execute function coupon.check_retired_coupon();

create function coupon.check_retirement() returns trigger
  language plpgsql
  security definer -- before PostgreSQL 18 a deferred trigger runs as whoever commits
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
declare
  v_left integer;
begin
  if exists (select from coupon.coupons c where c.id = new.coupon_id) then
    raise exception 'coupon % is still there', new.coupon_id
      using errcode = 'check_violation', schema = 'coupon', table = 'retired_coupons',
        constraint = 'retired_coupons_are_gone', hint = 'Call retire_coupons(before).';
  end if;
  select g.position into v_left
  from coupon.user_coupons g
  where coupon.position_key(g.coupon_id, g.position)
    between coupon.position_key(new.coupon_id, 1) and coupon.position_key(new.coupon_id, new.issued)
  order by coupon.position_key(g.coupon_id, g.position) desc
  limit 1;
  if coalesce(v_left, 0) > (select r.grants_left from coupon.retired_coupons r where r.coupon_id = new.coupon_id)
    or new.issued <> (
      select r.grants_left + coalesce((
        select sum(s.issued) from coupon.retired_grants s where s.coupon_id = r.coupon_id), 0)
      from coupon.retired_coupons r
      where r.coupon_id = new.coupon_id)
  then
    raise exception 'grants of coupon % are not moved out as told', new.coupon_id
      using errcode = 'check_violation', schema = 'coupon', table = 'retired_coupons',
        constraint = 'retired_coupons_grants_are_told', hint = 'Call retire_coupons(before).';
  end if;
  return null;
end
$$;
comment on function coupon.check_retirement() is
  'At commit a retired coupon is no coupon any more, and each of its grants is there or in the sums.';

create constraint trigger retired_coupons_are_gone
  after insert or update on coupon.retired_coupons
  deferrable initially deferred
  for each row
  execute function coupon.check_retirement();

create trigger retired_coupons_stay
  before update on coupon.retired_coupons
  for each row
  when (new.coupon_id <> old.coupon_id
    or new.code <> old.code
    or new.start_time <> old.start_time
    or new.eligible_from is distinct from old.eligible_from
    or new.expiry <> old.expiry
    or new.live_on <> old.live_on
    or new.count <> old.count
    or new.issued <> old.issued
    or new.asked <> old.asked
    or new.sold_out_at is distinct from old.sold_out_at
    or new.retired_at <> old.retired_at
    or new.grants_left > old.grants_left)
  execute function coupon.refuse_change(
    'retired_coupons_stay', 'of a retired coupon only fewer and fewer grants are left');

create trigger retired_coupons_stay_delete
  before delete on coupon.retired_coupons
  for each statement
  execute function coupon.refuse_change(
    'retired_coupons_stay', 'a retired coupon stays where it is');

create trigger retired_coupons_stay_truncate
  before truncate on coupon.retired_coupons
  for each statement
  execute function coupon.refuse_change(
    'retired_coupons_stay', 'a retired coupon stays where it is');

create trigger retired_grants_stay
  before update on coupon.retired_grants
  for each row
  when (new.coupon_id <> old.coupon_id
    or new.issued_on <> old.issued_on
    or new.issued < old.issued
    or new.used < old.used)
  execute function coupon.refuse_change(
    'retired_grants_stay', 'these sums only rise');

create trigger retired_grants_stay_delete
  before delete on coupon.retired_grants
  for each statement
  execute function coupon.refuse_change(
    'retired_grants_stay', 'these sums only rise');

create trigger retired_grants_stay_truncate
  before truncate on coupon.retired_grants
  for each statement
  execute function coupon.refuse_change(
    'retired_grants_stay', 'these sums only rise');

create function coupon.check_day_is_open() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from coupon.retired_coupons r where r.live_on = new.live_on) then
    raise exception 'coupons of % were retired: that day takes no more', new.live_on
      using errcode = 'check_violation', schema = 'coupon', table = 'coupons', constraint = 'coupons_day_is_open';
  end if;
  return null;
end
$$;
comment on function coupon.check_day_is_open() is
  'Rule 4: a day whose coupons were retired had its three, or what was to be had of them. set_time_zone() moves coupons
to such days all the same: the retired ones keep the day that they had.';

create trigger coupons_day_is_open
  after insert on coupon.coupons
  for each row
  execute function coupon.check_day_is_open();

create trigger coupons_day_is_open_anew
  after update of start_time on coupon.coupons
  for each row
  when (old.start_time <> new.start_time)
  execute function coupon.check_day_is_open();

create type public.retire_coupons_outcome as enum ('too_recent', 'busy', 'going_on', 'done');
comment on type public.retire_coupons_outcome is
  'too_recent: the day is not 33 days ago · busy: another call is at work · going_on: call it again · done: no coupon
that expired before that day is left.';

-- migrate:down

drop type public.retire_coupons_outcome;
drop trigger coupons_day_is_open_anew on coupon.coupons;
drop trigger coupons_day_is_open on coupon.coupons;
drop function coupon.check_day_is_open();
drop table coupon.retired_grants;
drop table coupon.retired_coupons;
drop function coupon.check_retirement();
drop function coupon.check_retired_coupon();

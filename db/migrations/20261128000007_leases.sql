-- migrate:up

-- A lease is a promise: while it is valid, a second at most, nothing changes that refuses the coupon
-- for everybody. Whoever wants such a change waits for a second. So a server may repeat the refusal
-- without asking, and nobody is told "sold out" while somebody else could be granted.
create table coupon.leases (
  coupon_id bigint primary key,
  is_leased boolean not null default false,
  constraint leases_coupon foreign key (coupon_id) references coupon.coupons (id) on update cascade on delete cascade
);
comment on table coupon.leases is
  'Whether servers may repeat the refusal of a coupon without asking. One row for each coupon. Who
changes the coupon locks its row: meanwhile no lease is given.';
comment on column coupon.leases.is_leased is
  'A lease was given since the coupon was last changed: the next change waits until it has run out.';

create function coupon.let_leases_run_out() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  -- So that none is given meanwhile: the lock of an update that leaves the key alone would not keep one from it.
  perform from coupon.leases l where l.coupon_id = old.coupon_id for update;
  perform pg_sleep(1);
  return coalesce(new, old);
end
$$;
comment on function coupon.let_leases_run_out() is
  'Waits until the leases of this coupon have run out. It waits a whole second and compares no times, so a clock that was
set does no harm.';

-- The one wait for leases, for whoever ends them: a change of the coupon (coupon.outlive_leases), its deletion, after
-- which another one may have its id, or a change of this table by hand.
create trigger leases_run_out
  before update or delete on coupon.leases
  for each row
  when (old.is_leased)
  execute function coupon.let_leases_run_out();

create trigger leases_run_out_truncate
  before truncate on coupon.leases
  for each statement
  execute function coupon.refuse_change(
    'leases_run_out', 'leases have to run out: delete from coupon.leases waits for that');

create function coupon.add_lease() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  insert into coupon.leases (coupon_id) values (new.id);
  return null;
end
$$;
comment on function coupon.add_lease() is
  'Each coupon has its row in coupon.leases from the beginning, so that it can be locked.';

create trigger coupons_add_lease
  after insert on coupon.coupons
  for each row
  execute function coupon.add_lease();

create function coupon.check_leases() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.outlive_leases(old.id);
  return new;
end
$$;
comment on function coupon.check_leases() is
  'For any change of what decides whether a coupon is refused: it waits until the coupon''s leases
have run out. The commands have waited before they lock issuing, so that nobody waits with them; an
update by hand waits here.';

create trigger coupons_outlive_leases
  before update of start_time, eligible_from, expiry, count, paused on coupon.coupons
  for each row
  when (old.start_time is distinct from new.start_time
    or old.eligible_from is distinct from new.eligible_from
    or old.expiry is distinct from new.expiry
    or old.count is distinct from new.count
    or old.paused is distinct from new.paused)
  execute function coupon.check_leases();

create type public.coupon_leases_outcome as enum ('coupon_not_found', 'not_leased', 'leased');
comment on type public.coupon_leases_outcome is
  'coupon_not_found · not_leased: it can be issued, is being changed, or has more than 100,000 holders · leased.';

-- migrate:down

drop trigger coupons_outlive_leases on coupon.coupons;
drop function coupon.check_leases();
drop trigger coupons_add_lease on coupon.coupons;
drop function coupon.add_lease();
drop table coupon.leases;
drop function coupon.let_leases_run_out();
drop type public.coupon_leases_outcome;

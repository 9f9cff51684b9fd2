-- migrate:up

-- A lease is a promise: what refuses a coupon for everybody doesn't change before it runs out. Whoever wants to change it
-- waits; so a server may repeat the refusal without asking, and still nobody is told "sold out" once somebody else could
-- have been granted.
create table coupon.leases (
  coupon_id bigint primary key,
  valid_until timestamptz not null
);
comment on table coupon.leases is
  'Until when a server may repeat a coupon''s refusal without asking: one row for each coupon that ever was leased, written by
coupon_lease(). A change of the coupon waits for it: trigger coupons_outlive_leases. Without a foreign key, which would lock the coupon''s
row before issuing is locked, and deadlock.';
comment on column coupon.leases.valid_until is
  'When the last of its leases runs out: at most a second ahead, never beyond start_time or expiry.';

-- It calls what is in sql/, unlike other guards: a database without those functions has no coupon that could be changed.
create function coupon.check_leases() returns trigger
  language plpgsql
  set search_path = ''
as $$
begin
  perform coupon.outlive_leases(old.id);
  return new;
end
$$;
comment on function coupon.check_leases() is
  'For any change of what decides whether a coupon is refused: it comes after the coupon''s leases. The functions wait before
they lock issuing, so that nobody waits with them; an update by hand waits here.';

create trigger coupons_outlive_leases
  before update of start_time, expiry, count, paused on coupon.coupons
  for each row
  when ((old.start_time, old.expiry, old.count, old.paused)
    is distinct from (new.start_time, new.expiry, new.count, new.paused))
  execute function coupon.check_leases();

create type public.coupon_lease_outcome as enum ('coupon_not_found', 'not_leased', 'leased');
comment on type public.coupon_lease_outcome is
  'coupon_not_found · not_leased: it can be issued, is being changed, or has more than 100,000 holders · leased.';

-- migrate:down

drop trigger coupons_outlive_leases on coupon.coupons;
drop function coupon.check_leases();
drop table coupon.leases;
drop type public.coupon_lease_outcome;

-- migrate:up

-- A lease is a promise: until it runs out, nothing changes that refuses the coupon for everybody.
-- Whoever wants such a change waits. So a server may repeat the refusal without asking, and nobody
-- is told "sold out" while somebody else could be granted.
create table coupon.leases (
  coupon_id bigint primary key,
  valid_until timestamptz not null
);
comment on table coupon.leases is
  'Until when servers may repeat the refusal of a coupon without asking. One row for each coupon
that ever was leased, written by coupon_lease(). A change of the coupon waits for it: trigger
coupons_outlive_leases. No foreign key: that would lock the coupon''s row before the issuing lock,
and so deadlock.';
comment on column coupon.leases.valid_until is
  'When its last lease runs out: at most a second from now, never beyond start_time or expiry.';

-- Unlike the other guards it calls a function of sql/. That is safe: without those functions no coupon can be made.
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

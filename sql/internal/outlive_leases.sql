-- Waits until the leases of this coupon have run out, and lets no new one begin until the end of
-- the transaction. Commands that change a coupon call it before they lock issuing, so that nobody
-- else waits with them. An update by hand waits in the trigger coupons_outlive_leases.
--
-- The trigger leases_run_out waits, at the update. A coupon that can be issued has no lease: the last one ended at its
-- start, or before the last change.
create or replace function coupon.outlive_leases(coupon_id bigint)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_is_leased boolean;
begin
  -- A caller with an older snapshot (REPEATABLE READ) gets 40001 instead of missing a first lease.
  select l.is_leased into v_is_leased
  from coupon.leases l
  where l.coupon_id = outlive_leases.coupon_id
  for update;
  if v_is_leased and exists (
    select from coupon.coupons c
    where c.id = outlive_leases.coupon_id and coupon.common_refusal(c, clock_timestamp()) is not null)
  then
    update coupon.leases l set is_leased = false where l.coupon_id = outlive_leases.coupon_id;
  end if;
end
$$;

comment on function coupon.outlive_leases(bigint) is
  'Waits, for a second if the coupon was leased, until no server repeats a refusal of it any more, and keeps it so until
the commit.';

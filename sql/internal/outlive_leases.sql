-- Waits until the leases of this coupon have run out, and lets no new one begin until the end of
-- the transaction. Commands that change a coupon call it before they lock issuing, so that nobody
-- else waits with them. An update by hand waits in the trigger coupons_outlive_leases.
create or replace function coupon.outlive_leases(coupon_id bigint)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_valid_until timestamptz;
begin
  perform pg_advisory_xact_lock(-coupon.lock_key() # outlive_leases.coupon_id);
  -- An upsert and not a read: a caller with an older snapshot (REPEATABLE READ) gets 40001 instead of missing a lease.
  insert into coupon.leases as l (coupon_id, valid_until)
  select c.id, '-infinity' from coupon.coupons c where c.id = outlive_leases.coupon_id
  on conflict on constraint leases_pkey do update set valid_until = l.valid_until
  returning l.valid_until into v_valid_until;
  while clock_timestamp() < v_valid_until loop
    perform pg_sleep(extract(epoch from v_valid_until - clock_timestamp()));
  end loop;
end
$$;

comment on function coupon.outlive_leases(bigint) is
  'Waits, at most a second, until no server repeats a refusal of this coupon any more, and keeps it so until the commit.';

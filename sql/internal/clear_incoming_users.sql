-- Deletes what others left in coupon.incoming_users when they copied without an import: their transactions are over, or it
-- would not be seen here.
create or replace function coupon.clear_incoming_users()
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  delete from coupon.incoming_users i
  where i.ctid = any (array(
    select l.ctid from coupon.incoming_users l where l.copied_by <> pg_current_xact_id() for update skip locked))
$$;

comment on function coupon.clear_incoming_users() is
  'Deletes users that were copied in transactions that are over, without an import.';

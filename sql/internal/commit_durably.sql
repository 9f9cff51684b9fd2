-- A grant or a use is acknowledged after its commit is on disk, whatever the session asked for. (A SET clause of the
-- function would not do: it ends before the commit.)
create or replace function coupon.commit_durably()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('synchronous_commit') in ('off', 'local') then
    perform set_config('synchronous_commit', 'on', true);
  end if;
end
$$;

comment on function coupon.commit_durably() is
  'Raises synchronous_commit to on for this transaction, where the session had lowered it.';

-- A replay confirms an earlier commit. On a cluster with synchronous standbys it must not confirm
-- what only the primary has yet: a failover would erase it. This little WAL record makes the
-- replay's own commit wait for the standbys, and so for all that came before it. Without
-- synchronous standbys it does nothing: a replay writes nothing.
create or replace function coupon.fence_replay()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('synchronous_standby_names') <> '' then
    perform coupon.commit_durably();
    perform pg_logical_emit_message(true, 'coupon.replay', '');
  end if;
end
$$;

comment on function coupon.fence_replay() is
  'Before a replayed answer: on a cluster with synchronous standbys, lets the commit wait until they
have what it confirms.';

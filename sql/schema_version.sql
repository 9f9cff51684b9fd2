-- What this database is, as servers ask before they say that they are ready.
create or replace function public.schema_version()
returns table (release text, migration text, oldest_server text)
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  select
    -- The version in package.json.
    '0.1.0',
    max(m.version)::text,
    -- The oldest migration that a server must know to call these functions. Raise it, to the newest
    -- migration of the release, when a server of the release before can't serve here any more: a
    -- function, an argument or a column that it asks for is gone, or it is told an outcome that it
    -- doesn't know. What only adds leaves it as it is: both serve, which is a roll-out.
    '20261128000008'
  from coupon.schema_migrations m
$$;

comment on function public.schema_version() is
  'One row. release: the version of coupon-drop that these functions came with. migration: the
newest that was applied. oldest_server: a server works with these functions if it knows this
migration. GET /readyz answers server_too_old on a server that does not know it, and
migrations_pending on a server that knows a migration which this database does not have.';

-- What this database is, as servers ask before they say that they are ready.
create or replace function public.schema_version()
returns table (migration text, oldest_server text)
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  select
    max(m.version)::text,
    -- The oldest migration that a server must know to call these functions. Raise it, to the newest migration of the release,
    -- when a server of the release before can't serve here any more: a function, an argument or a column that it asks for is
    -- gone, or it is told an outcome that it doesn't know. What only adds leaves it as it is: both serve, which is a roll-out.
    '20261122000005'
  from coupon.schema_migrations m
$$;

comment on function public.schema_version() is
  'One row. migration: the newest that was applied. oldest_server: the newest migration that a server must know of, at least,
to work with these functions; GET /readyz answers server_too_old on one that doesn''t, and migrations_pending on one that knows of
newer ones than this database.';

-- The four roles, and what bounds their sessions. Run by the set-up login before the migrations, again and again. Roles
-- belong to the whole server. Who makes one may act as it; nobody else is made a member here: a login that could create
-- roles would get another installation's databases.
do $$
declare
  v_role text;
begin
  foreach v_role in array array['coupon_owner', 'coupon_api', 'coupon_admin', 'coupon_monitor'] loop
    if not exists (select from pg_catalog.pg_roles r where r.rolname = v_role) then
      execute format('create role %I nologin', v_role);
      -- Having made it is not enough for a login that isn't a superuser, in any version of PostgreSQL.
      if not pg_catalog.pg_has_role(current_user, v_role,
        case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end)
      then
        execute format('grant %I to current_user', v_role);
      end if;
    end if;
    execute format('grant connect on database %I to %I', current_database(), v_role);
  end loop;
  if not pg_catalog.pg_has_role('coupon_admin', 'coupon_monitor', 'member') then
    grant coupon_monitor to coupon_admin;
  end if;

  execute format('grant create on database %I to coupon_owner', current_database());
  grant usage, create on schema public to coupon_owner;

  -- The server waits a little longer than this for an answer, so that it is the database that gives up first and what
  -- it gave up is known to be undone.
  if not exists (
    select from pg_catalog.pg_roles r
    where r.rolname = 'coupon_api'
      and r.rolconfig @> array['lock_timeout=2s', 'statement_timeout=5s',
        'idle_in_transaction_session_timeout=5s', 'jit=off', 'default_transaction_isolation=read committed']
  ) then
    alter role coupon_api set lock_timeout = '2s';
    alter role coupon_api set statement_timeout = '5s';
    alter role coupon_api set idle_in_transaction_session_timeout = '5s';
    alter role coupon_api set jit = off;
    -- Functions read after they have waited for a lock. Whatever the database sets for others.
    alter role coupon_api set default_transaction_isolation = 'read committed';
  end if;
  -- A "begin" that is forgotten in psql would hold the issuing lock.
  if not exists (
    select from pg_catalog.pg_roles r
    where r.rolname = 'coupon_admin'
      and r.rolconfig @> array['idle_in_transaction_session_timeout=30s', 'default_transaction_isolation=read committed']
  ) then
    alter role coupon_admin set idle_in_transaction_session_timeout = '30s';
    alter role coupon_admin set default_transaction_isolation = 'read committed';
  end if;
end
$$;

-- The four roles, and what bounds their sessions. Run by the set-up login before the migrations, again and again. Roles
-- belong to the whole server. Who makes one may act as it; nobody else is made a member here: a login that could create
-- roles would get another installation's databases.
do $$
declare
  v_role text;
  v_setting text;
  v_value text;
begin
  -- From PostgreSQL 16 on a login may have it that it only inherits from the roles that it makes, or only acts as them.
  if current_setting('createrole_self_grant', true) is not null then
    perform set_config('createrole_self_grant', '', true);
  end if;

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
  -- Everybody has this one, unless somebody took it away.
  grant usage on schema public to coupon_api, coupon_admin, coupon_monitor;

  -- Each where it isn't so yet: not everybody who sets up may change a role. What is set in this database alone would win.
  for v_role, v_setting, v_value in
    values
      -- The server waits a little longer than these for an answer, so that it is the database that gives up first and
      -- what it gave up is known to be undone.
      ('coupon_api', 'lock_timeout', '2s'),
      ('coupon_api', 'statement_timeout', '5s'),
      ('coupon_api', 'idle_in_transaction_session_timeout', '5s'),
      -- These end a session, maybe with a call of which then nobody knows. The second one came with PostgreSQL 17.
      ('coupon_api', 'idle_session_timeout', '0'),
      ('coupon_api', 'transaction_timeout', '0'),
      ('coupon_api', 'jit', 'off'),
      -- Functions read after they have waited for a lock. Whatever the database sets for others.
      ('coupon_api', 'default_transaction_isolation', 'read committed'),
      -- A "begin" that is forgotten in psql would hold the issuing lock.
      ('coupon_admin', 'idle_in_transaction_session_timeout', '30s'),
      ('coupon_admin', 'default_transaction_isolation', 'read committed')
  loop
    continue when current_setting(v_setting, true) is null;
    if not exists (
      select from pg_catalog.pg_roles r
      where r.rolname = v_role and r.rolconfig @> array[format('%s=%s', v_setting, v_value)])
    then
      execute format('alter role %I set %I = %L', v_role, v_setting, v_value);
    end if;
    if exists (
      select from pg_catalog.pg_db_role_setting s
      cross join unnest(s.setconfig) c (setting)
      where s.setrole = v_role::regrole and split_part(c.setting, '=', 1) = v_setting
        and s.setdatabase = (select d.oid from pg_catalog.pg_database d where d.datname = current_database()))
    then
      execute format('alter role %I in database %I reset %I', v_role, current_database(), v_setting);
    end if;
  end loop;
end
$$;

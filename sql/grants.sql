-- Who may do what; nothing else is granted anywhere. PUBLIC has no right by default (see the first migration), the
-- server's role has no right on any table.

-- First everything is taken away, so that a line which goes from here goes from every database; whoever calls meanwhile sees
-- neither, since it is one transaction. Left as it is: what others own, what other roles were given, and a function that
-- no file loaded just now, because servers of the last release may call it.
do $$
declare
  v_object text;
begin
  for v_object in
    select format('%s %s', case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass)
    from pg_catalog.pg_class c
    where c.relnamespace in ('public'::regnamespace, 'coupon'::regnamespace)
      and c.relowner = 'coupon_owner'::regrole and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    union all
    select format('routine %s', p.oid::regprocedure)
    from pg_catalog.pg_proc p
    where p.pronamespace in ('public'::regnamespace, 'coupon'::regnamespace)
      and p.proowner = 'coupon_owner'::regrole
      and (p.xmin = pg_current_xact_id()::xid or p.prorettype = 'trigger'::regtype)
    union all
    select 'schema coupon'
  loop
    execute format('revoke all on %s from public, coupon_api, coupon_admin, coupon_monitor cascade', v_object);
  end loop;
end
$$;

grant execute on function
  public.live_coupons(),
  public.upcoming_coupons(integer),
  public.find_coupon(bigint, text),
  public.wallet(bigint, date, integer),
  public.coupon_stats(bigint),
  public.coupon_status(),
  public.schema_version(),
  public.list_users(bigint, integer),
  public.list_grants(bigint, integer, integer)
to coupon_api, coupon_admin, coupon_monitor;

grant execute on function
  public.create_coupon(text, text, text, timestamptz, timestamptz, integer, jsonb, text, text),
  public.issue_coupon(bigint, bigint),
  public.issue_coupons(bigint, bigint[]),
  public.use_coupon(bigint, bigint, text, text),
  public.undo_use(bigint, bigint, text, text),
  public.pause_coupon(bigint, text, text),
  public.resume_coupon(bigint, text, text),
  public.set_coupon_count(bigint, integer, text, text),
  public.set_coupon_expiry(bigint, timestamptz, text, text),
  public.import_users(bigint[], text[], text, text)
to coupon_api, coupon_admin;

grant execute on function
  public.coupon_lease(bigint, integer)
to coupon_api;

grant execute on function
  public.set_time_zone(text, text, text),
  public.import_incoming_users(text, text)
to coupon_admin;

grant execute on function
  public.audit_trail(bigint, bigint, timestamptz, bigint, integer),
  public.coupon_timeline(bigint, interval),
  public.daily_summary(date, date),
  public.reconcile()
to coupon_admin, coupon_monitor;

-- Whoever reads the grants must be able to call it. A session keeps how it has expanded an index's expression, and expands no
-- function that its user may not call: without this right no later query of the session would use the index.
grant execute on function
  coupon.position_key(bigint, integer)
to coupon_monitor;

grant usage on schema coupon to coupon_monitor;
grant select on
  coupon.settings,
  coupon.users,
  coupon.coupons,
  coupon.user_coupons,
  coupon.audit,
  coupon.leases,
  coupon.incoming_users,
  coupon.schema_migrations
to coupon_monitor;

-- What \copy needs, and no more: whose row it is and its line, the table says.
grant insert (user_id, display_name) on coupon.incoming_users to coupon_admin;

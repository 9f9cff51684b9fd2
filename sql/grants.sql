-- Who may do what; nothing else is granted anywhere, but the use of types. PUBLIC has no right by default (for both see the first
-- migration), the server's role has no right on any table.

-- First take all rights away, so that a right whose line is removed here ends in every database.
-- All is one transaction: nobody who calls meanwhile misses a right. Three things are left alone:
-- what others own, what was granted to other roles, and functions that no file has just loaded,
-- because servers of the last release may call them.
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
  public.live_coupons(timestamptz, integer),
  public.upcoming_coupons(timestamptz, integer),
  public.list_coupons(public.coupon_state, timestamptz, timestamptz, text, integer),
  public.find_coupon(bigint, text),
  public.wallet(bigint, date, integer),
  public.coupon_stats(bigint),
  public.coupon_status(),
  public.coupon_timeline(bigint, interval, timestamptz, timestamptz),
  public.daily_summary(date, date),
  public.audit_trail(bigint, bigint, timestamptz, bigint, integer),
  public.claim_secrets(),
  public.schema_version(),
  public.list_users(bigint, integer),
  public.list_keys(),
  public.find_subjects(bigint, text, text),
  public.list_group(text, bigint, integer),
  public.list_groups(text, integer),
  public.list_grants(bigint, integer, integer),
  public.list_plan()
to coupon_api, coupon_admin, coupon_monitor;

grant execute on function
  public.create_coupon(text, text, text, timestamptz, timestamptz, integer, jsonb, text, text),
  public.issue_coupon(bigint, bigint),
  public.issue_coupons(bigint, bigint[]),
  public.use_coupon(bigint, bigint, text, text),
  public.undo_use(bigint, bigint, text, text, boolean, timestamptz),
  public.use_claim(text, text, text),
  public.undo_claim(text, text, text, boolean, timestamptz),
  public.pause_coupon(bigint, text, text),
  public.resume_coupon(bigint, text, text),
  public.set_coupon_count(bigint, integer, text, text),
  public.set_coupon_expiry(bigint, timestamptz, text, text),
  public.set_coupon_start(bigint, timestamptz, text, text),
  public.set_coupon_group(bigint, text, timestamptz, text, text),
  public.edit_coupon(bigint, text, text, text, jsonb, text, text),
  public.withdraw_coupon(bigint, text, text),
  public.retire_coupons(date, integer, text, text),
  public.set_plan_entry(integer, integer, text, text, text, time, time, integer, integer, jsonb, text, text),
  public.remove_plan_entry(integer, integer, text, text),
  public.preview_days(date, date),
  public.fill_days(date, text, text),
  public.copy_day(date, date, text, text),
  public.import_users(bigint[], text[], text, text),
  public.add_to_group(text, bigint[], text, text),
  public.remove_from_group(text, bigint[], text, text),
  public.forget_user(bigint, text, text),
  public.resolve_subjects(text, text[], text[], boolean),
  public.forget_subjects(),
  public.revoke_key(text, text, text),
  public.fold_grants(integer),
  public.events(text, integer),
  public.fold_demand(integer),
  public.set_webhook(text, text, public.event_type[], text, text, text),
  public.rotate_webhook_secret(text, text, text),
  public.enable_webhook(text, text, text),
  public.disable_webhook(text, text, text),
  public.remove_webhook(text, text, text),
  public.resend_webhook(text, text, text, text),
  public.list_webhooks(),
  public.list_webhook_deliveries(text, integer)
to coupon_api, coupon_admin;

grant execute on function
  public.coupon_leases(bigint[], integer[], timestamptz[], boolean),
  public.revoked_keys(),
  public.count_demand(uuid, bigint, interval, bigint[], integer[], integer[]),
  public.claim_webhooks(uuid, boolean),
  public.webhook_target(text),
  public.next_webhook_events(uuid, text, integer),
  public.tell_webhook(uuid, text, timestamptz, text, text[], text[], integer[], text[], integer[])
to coupon_api;

grant execute on function
  public.set_time_zone(text, text, text),
  public.record_key(text, text, text, timestamptz, text, text),
  public.rotate_claim_secret(text, text),
  public.retire_claim_secret(integer, text, text),
  public.import_incoming_users(text, text)
to coupon_admin;

grant execute on function
  public.reconcile()
to coupon_admin, coupon_monitor;

-- Who reads user_coupons needs this. PostgreSQL inlines no function that the current user may not
-- execute, and a session keeps the expression of an index as it first read it. Without this right a
-- session that has read the table would not use the index any more, in our functions either.
grant execute on function
  coupon.position_key(bigint, integer)
to coupon_monitor;

grant usage on schema coupon to coupon_monitor;
grant select on
  coupon.settings,
  coupon.users,
  coupon.forgotten_users,
  coupon.subjects,
  coupon.keys,
  coupon.forgotten_subjects,
  coupon.group_members,
  coupon.coupons,
  coupon.plan,
  coupon.planned,
  coupon.user_coupons,
  coupon.retired_coupons,
  coupon.retired_grants,
  coupon.use_counts,
  coupon.demand,
  coupon.demand_senders,
  coupon.past_grants,
  coupon.folded,
  coupon.audit,
  coupon.events,
  coupon.gathered,
  coupon.webhooks,
  coupon.webhook_deliveries,
  coupon.webhook_sender,
  coupon.issuing,
  coupon.leases,
  coupon.incoming_users,
  coupon.schema_migrations
to coupon_monitor;

-- What \copy needs, and no more: whose row it is and its line, the table says.
grant insert (user_id, display_name) on coupon.incoming_users to coupon_admin;

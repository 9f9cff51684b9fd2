-- Sends to a webhook again. webhook_not_found · already_enabled · enabled. Locks the webhook.
create or replace function public.enable_webhook(webhook_name text, reason text default null, actor text default null)
returns table (outcome public.enable_webhook_outcome)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_webhook coupon.webhooks;
begin
  perform coupon.check_webhook_name(enable_webhook.webhook_name);
  perform coupon.check_reason_and_actor(enable_webhook.reason, enable_webhook.actor);

  select w.* into v_webhook from coupon.webhooks w where w.webhook_name = enable_webhook.webhook_name for update;
  outcome := case
    when v_webhook.webhook_name is null then 'webhook_not_found'
    when v_webhook.disabled_at is null then 'already_enabled'
    else 'enabled' end;
  if outcome = 'enabled' then
    update coupon.webhooks w
    set disabled_at = null, disabled_reason = null, failing_since = null, paused_until = null
    where w.webhook_name = enable_webhook.webhook_name;
    update coupon.webhook_deliveries d
    set attempts = 0, next_attempt_at = clock_timestamp()
    where d.webhook_name = enable_webhook.webhook_name and d.dead_at is null;
    insert into coupon.audit (command, new_values, reason, actor)
    values ('enable_webhook', jsonb_build_object('webhook_name', enable_webhook.webhook_name),
      enable_webhook.reason, enable_webhook.actor);
  elsif outcome = 'already_enabled' then
    perform coupon.fence_replay();
  end if;
  return next;
end
$$;

comment on function public.enable_webhook(text, text, text) is
  'Sends to a webhook again, from where it was disabled on: what happened meanwhile, and what waits at once, as for the first
time. Outcomes in order: webhook_not_found, already_enabled, enabled. reason and actor go to the audit.';

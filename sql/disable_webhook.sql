-- Sends nothing to a webhook any more. webhook_not_found · already_disabled · disabled. Locks the webhook.
create or replace function public.disable_webhook(webhook_name text, reason text default null, actor text default null)
returns table (outcome public.disable_webhook_outcome)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_webhook coupon.webhooks;
begin
  perform coupon.check_webhook_name(disable_webhook.webhook_name);
  perform coupon.check_reason_and_actor(disable_webhook.reason, disable_webhook.actor);

  select w.* into v_webhook from coupon.webhooks w where w.webhook_name = disable_webhook.webhook_name for update;
  outcome := case
    when v_webhook.webhook_name is null then 'webhook_not_found'
    when v_webhook.disabled_at is not null then 'already_disabled'
    else 'disabled' end;
  if outcome = 'disabled' then
    perform coupon.stop_webhook(disable_webhook.webhook_name, 'by hand', disable_webhook.reason, disable_webhook.actor);
  elsif outcome = 'already_disabled' then
    perform coupon.fence_replay();
  end if;
  return next;
end
$$;

comment on function public.disable_webhook(text, text, text) is
  'Sends nothing to a webhook until enable_webhook(), which goes on where this stopped; only grants that are retired
meanwhile have no events any more. events() tells it as webhook_disabled. Outcomes in order: webhook_not_found, already_disabled, disabled. reason and actor go to the audit.';

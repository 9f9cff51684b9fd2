-- Forgets a webhook, with its secrets and what waits for it. webhook_not_found · removed. Locks the webhook.
create or replace function public.remove_webhook(webhook_name text, reason text default null, actor text default null)
returns table (outcome public.remove_webhook_outcome)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_webhook coupon.webhooks;
begin
  perform coupon.check_webhook_name(remove_webhook.webhook_name);
  perform coupon.check_reason_and_actor(remove_webhook.reason, remove_webhook.actor);

  delete from coupon.webhooks w where w.webhook_name = remove_webhook.webhook_name returning w.* into v_webhook;
  if not found then
    outcome := 'webhook_not_found';
    perform coupon.fence_replay(); -- it may be removed, and not yet on the standbys
    return next;
    return;
  end if;
  insert into coupon.audit (command, old_values, reason, actor)
  values ('remove_webhook',
    jsonb_build_object('webhook_name', v_webhook.webhook_name, 'url', v_webhook.url, 'event_types', v_webhook.event_types),
    remove_webhook.reason, remove_webhook.actor);
  outcome := 'removed';
  return next;
end
$$;

comment on function public.remove_webhook(text, text, text) is
  'Forgets a webhook: its secrets, its place in the events, and what waits or is dead. Outcomes in order: webhook_not_found,
removed. reason and actor go to the audit.';

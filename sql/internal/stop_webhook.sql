-- Disables a webhook, with its row in the audit: so events() tells it too.
create or replace function coupon.stop_webhook(webhook_name text, why text, reason text, actor text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  update coupon.webhooks w
  set disabled_at = clock_timestamp(), disabled_reason = stop_webhook.why
  where w.webhook_name = stop_webhook.webhook_name;
  insert into coupon.audit (command, new_values, reason, actor)
  values ('disable_webhook',
    jsonb_build_object('webhook_name', stop_webhook.webhook_name, 'disabled_reason', stop_webhook.why),
    stop_webhook.reason, stop_webhook.actor);
end
$$;

comment on function coupon.stop_webhook(text, text, text, text) is
  'Disables a webhook for this reason, and tells the audit. The caller has locked its row.';

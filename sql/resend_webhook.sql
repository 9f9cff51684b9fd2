-- Sends at once what waits for a webhook, and what is dead. webhook_not_found · nothing_to_send · resending. Locks the webhook.
create or replace function public.resend_webhook(
  webhook_name text,
  event_id text default null,
  reason text default null,
  actor text default null
)
returns table (outcome public.resend_webhook_outcome, deliveries integer)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_number bigint;
  v_place integer;
begin
  perform coupon.check_webhook_name(resend_webhook.webhook_name);
  select p.number, p.place into v_number, v_place from coupon.event_place(resend_webhook.event_id) p;
  if resend_webhook.event_id is not null and v_number is null then
    perform coupon.refuse_argument('event_id', 'must be an event_id of list_webhook_deliveries()');
  end if;
  perform coupon.check_reason_and_actor(resend_webhook.reason, resend_webhook.actor);

  perform from coupon.webhooks w where w.webhook_name = resend_webhook.webhook_name for update;
  if not found then
    outcome := 'webhook_not_found';
    return next;
    return;
  end if;
  update coupon.webhook_deliveries d
  set next_attempt_at = clock_timestamp()
  where d.webhook_name = resend_webhook.webhook_name
    and (resend_webhook.event_id is null or (d.number, d.place) = (v_number, v_place));
  get diagnostics deliveries = row_count;
  if deliveries = 0 then
    outcome := 'nothing_to_send';
    return next;
    return;
  end if;
  update coupon.webhooks w set paused_until = null where w.webhook_name = resend_webhook.webhook_name;
  insert into coupon.audit (command, new_values, reason, actor)
  values ('resend_webhook', jsonb_build_object('webhook_name', resend_webhook.webhook_name), resend_webhook.reason,
    resend_webhook.actor);
  outcome := 'resending';
  return next;
end
$$;

comment on function public.resend_webhook(text, text, text, text) is
  'Sends at once, and not when its pause is over, what list_webhook_deliveries() tells: all of it, or this event; also to a
webhook that asked to be sent nothing. What is dead
is sent once, beside what came behind it, and stays dead if that fails. A webhook that is disabled gets it when it is
enabled. Outcomes in order: webhook_not_found, nothing_to_send, resending (so many). reason and actor go to the audit.';

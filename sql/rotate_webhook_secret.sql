-- Makes a new secret for a webhook. The one before it signs too for a day. webhook_not_found · rotated. Locks the webhook.
create or replace function public.rotate_webhook_secret(
  webhook_name text,
  reason text default null,
  actor text default null
)
returns table (outcome public.rotate_webhook_secret_outcome, secret text)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_number integer;
begin
  perform coupon.check_webhook_name(rotate_webhook_secret.webhook_name);
  perform coupon.check_reason_and_actor(rotate_webhook_secret.reason, rotate_webhook_secret.actor);

  perform from coupon.webhooks w where w.webhook_name = rotate_webhook_secret.webhook_name for update;
  if not found then
    outcome := 'webhook_not_found';
    return next;
    return;
  end if;

  delete from coupon.webhook_secrets s
  where s.webhook_name = rotate_webhook_secret.webhook_name and s.ends_at is not null;
  update coupon.webhook_secrets s
  set ends_at = clock_timestamp() + interval '1 day'
  where s.webhook_name = rotate_webhook_secret.webhook_name
  returning s.number + 1 into v_number;
  insert into coupon.webhook_secrets (webhook_name, number)
  values (rotate_webhook_secret.webhook_name, coalesce(v_number, 1)) -- a dump may have left the secrets out
  returning number, 'whsec_' || encode(key, 'base64') into v_number, secret;
  insert into coupon.audit (command, new_values, reason, actor)
  values ('rotate_webhook_secret',
    jsonb_build_object('webhook_name', rotate_webhook_secret.webhook_name, 'number', v_number),
    rotate_webhook_secret.reason, rotate_webhook_secret.actor);
  outcome := 'rotated';
  return next;
end
$$;

comment on function public.rotate_webhook_secret(text, text, text) is
  'Makes a new secret, which is told this once. For a day what is sent is signed with the one before it too, so that the
receiver can change in between; one that leaked is out after a second call. Outcomes in order: webhook_not_found, rotated.
reason and actor go to the audit.';

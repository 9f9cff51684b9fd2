-- Where a webhook is, and with what is signed what it is sent.
create or replace function public.webhook_target(webhook_name text)
returns table (url text, secrets text[])
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.check_webhook_name(webhook_target.webhook_name);
  return query
  select w.url, array(
    select 'whsec_' || encode(s.key, 'base64')
    from coupon.webhook_secrets s
    where s.webhook_name = w.webhook_name and coalesce(s.ends_at > clock_timestamp(), true)
    order by s.number desc)
  from coupon.webhooks w
  where w.webhook_name = webhook_target.webhook_name;
end
$$;

comment on function public.webhook_target(text) is
  'For the server: the url of a webhook and its secrets, the newest first; no row if there is no such webhook.';

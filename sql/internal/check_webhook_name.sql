-- Asserts the name of a webhook.
create or replace function coupon.check_webhook_name(webhook_name text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if check_webhook_name.webhook_name is null then
    perform coupon.refuse_argument('webhook_name', 'must not be null');
  elsif check_webhook_name.webhook_name !~ '^[A-Za-z0-9_-]{1,64}$' then
    perform coupon.refuse_argument('webhook_name', 'must be 1 to 64 letters, digits, - or _');
  end if;
end
$$;

comment on function coupon.check_webhook_name(text) is
  'Refuses a webhook_name that no webhook can have.';

-- Whether this server process is the one that sends. Shares the row of coupon.webhook_sender until the end of the
-- transaction: nobody takes over meanwhile, and the process itself may go on (claim_webhooks()).
create or replace function coupon.holds_webhooks(sender uuid)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if holds_webhooks.sender is null then
    perform coupon.refuse_argument('sender', 'must not be null');
  end if;
  perform from coupon.webhook_sender s where s.sender = holds_webhooks.sender for key share;
  return found;
end
$$;

comment on function coupon.holds_webhooks(uuid) is
  'Whether no other server process than this one sends to webhooks, until the end of the transaction.';

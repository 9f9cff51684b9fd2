-- Lets one server process of all send to the webhooks: takes that over, or keeps it. Locks the row of coupon.webhook_sender,
-- which is skipped if another call has it. Writes every two seconds at most, and nothing while there is no webhook.
create or replace function public.claim_webhooks(sender uuid, is_leaving boolean default false)
returns table (webhook_name text, valid_for interval)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_held coupon.webhook_sender;
begin
  perform coupon.refuse_argument(a.name, 'must not be null')
  from (values ('sender', claim_webhooks.sender is null), ('is_leaving', claim_webhooks.is_leaving is null)) a (name, is_null)
  where a.is_null;

  if claim_webhooks.is_leaving then
    update coupon.webhook_sender s set sender = null, until = '-infinity' where s.sender = claim_webhooks.sender;
    return;
  end if;
  if not exists (select from coupon.webhooks) then
    return;
  end if;
  select s.* into v_held from coupon.webhook_sender s;
  if v_held.sender <> claim_webhooks.sender and v_held.until > v_now then
    return;
  end if;
  if v_held.sender is distinct from claim_webhooks.sender or v_held.until <= v_now + interval '4 seconds' then
    select s.* into v_held from coupon.webhook_sender s for update skip locked;
    v_now := clock_timestamp();
    if not found or (v_held.sender <> claim_webhooks.sender and v_held.until > v_now) then
      return;
    end if;
    update coupon.webhook_sender s
    set sender = claim_webhooks.sender, until = v_now + interval '6 seconds'
    returning s.* into v_held;
  end if;

  return query
  select w.webhook_name, v_held.until - v_now
  from (values (true)) one
  left join coupon.webhooks w on w.disabled_at is null
  order by w.webhook_name;
end
$$;

comment on function public.claim_webhooks(uuid, boolean) is
  'For the server: the webhooks that this process may send to for valid_for, six seconds at most; none if another process does,
or if there is none. A null if all are disabled: this process then only tells how they are doing. Ask again every second. A process that is_leaving gives it up at once; from one that is gone another one
takes it when its time is over.';

-- Lets one server process of all send to the webhooks: takes that over, or keeps it. Locks the row of coupon.webhook_sender,
-- which is skipped if another call has it. Writes every two seconds at most, and nothing while there is no webhook.
--
-- Nobody has it for more than six seconds. Where it is more, the clock was set back since: then it is six seconds from here on.
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
  v_time constant interval := '6 seconds';
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
  if v_held.sender <> claim_webhooks.sender and v_held.until between v_now and v_now + v_time then
    return;
  end if;
  if v_held.sender is distinct from claim_webhooks.sender
    or v_held.until not between v_now + interval '4 seconds' and v_now + v_time
  then
    if v_held.sender = claim_webhooks.sender then
      -- Whose own pages share the row meanwhile (coupon.holds_webhooks()): this lock lets them, the other one does not.
      select s.* into v_held from coupon.webhook_sender s
      where s.sender = claim_webhooks.sender
      for no key update skip locked;
    else
      select s.* into v_held from coupon.webhook_sender s for update skip locked;
    end if;
    v_now := clock_timestamp();
    if not found or (v_held.sender <> claim_webhooks.sender and v_held.until between v_now and v_now + v_time) then
      return;
    end if;
    update coupon.webhook_sender s
    set sender = case when s.until > v_now then s.sender else claim_webhooks.sender end, until = v_now + v_time
    returning s.* into v_held;
    if v_held.sender <> claim_webhooks.sender then
      return;
    end if;
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

-- Takes down what became of events that were sent to a webhook. Locks the webhook.
create or replace function public.tell_webhook(
  sender uuid,
  webhook_name text,
  created_at timestamptz,
  page_end text,
  taken text[],
  stopped text[],
  statuses integer[],
  errors text[],
  waits integer[]
)
returns table (is_told boolean, is_disabled boolean)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_webhook coupon.webhooks;
  v_stop record;
  v_waiting coupon.webhook_deliveries;
  v_attempts integer;
  v_pause interval;
  v_why text;
begin
  perform coupon.check_webhook_name(tell_webhook.webhook_name);
  if tell_webhook.created_at is null then
    perform coupon.refuse_argument('created_at', 'must not be null');
  end if;
  perform coupon.refuse_argument(a.name, 'must be event_ids, without a null')
  from (values ('taken', tell_webhook.taken), ('stopped', tell_webhook.stopped)) a (name, ids)
  where a.ids is null or exists (
    select from unnest(a.ids) i (id) cross join lateral coupon.event_place(i.id) p where p.number is null);
  perform coupon.refuse_argument(a.name, 'must be as many as stopped')
  from (values
    ('statuses', cardinality(tell_webhook.statuses)),
    ('errors', cardinality(tell_webhook.errors)),
    ('waits', cardinality(tell_webhook.waits))
  ) a (name, count)
  where a.count is distinct from cardinality(tell_webhook.stopped);
  if tell_webhook.page_end !~ '^[0-9]{1,18}-[0-9]{1,10}$'
    or split_part(tell_webhook.page_end, '-', 2)::bigint > 2147483646
    or split_part(tell_webhook.page_end, '-', 1)::bigint > (select g.last_number from coupon.gathered g)
  then
    perform coupon.refuse_argument('page_end', 'must be one of next_webhook_events()');
  end if;

  is_told := coupon.holds_webhooks(tell_webhook.sender);
  is_disabled := false;
  if is_told then
    select w.* into v_webhook
    from coupon.webhooks w
    where w.webhook_name = tell_webhook.webhook_name and w.created_at = tell_webhook.created_at
    for no key update;
    is_told := found;
  end if;
  if not is_told then
    return next;
    return;
  end if;

  -- All that was given of these coupons has arrived, up to these.
  delete from coupon.webhook_deliveries d
  using unnest(tell_webhook.taken) i (id) cross join lateral coupon.event_place(i.id) p
  where d.webhook_name = v_webhook.webhook_name and d.dead_at is not null
    and (d.number, d.place) = (p.number, p.place);
  update coupon.webhook_deliveries d
  set number = p.number, place = p.place + 1, attempts = 0, next_attempt_at = v_now,
    last_attempt_at = v_now, last_status = null, last_error = null
  from unnest(tell_webhook.taken) i (id)
  cross join lateral coupon.event_place(i.id) p
  join coupon.events e on e.number = p.number
  where d.webhook_name = v_webhook.webhook_name and d.dead_at is null and d.coupon_id = coalesce(e.coupon_id, 0)
    and (p.number, p.place) >= (d.number, d.place);

  for v_stop in
    select p.number, p.place, coalesce(e.coupon_id, 0) as coupon_id, i.status,
      left(i.error, 200) as error, i.wait
    from unnest(tell_webhook.stopped, tell_webhook.statuses, tell_webhook.errors, tell_webhook.waits) i (id, status, error, wait)
    cross join lateral coupon.event_place(i.id) p
    join coupon.events e on e.number = p.number
  loop
    select d.* into v_waiting
    from coupon.webhook_deliveries d
    where d.webhook_name = v_webhook.webhook_name and (d.number, d.place) = (v_stop.number, v_stop.place);
    if v_waiting.dead_at is not null then
      update coupon.webhook_deliveries d
      set attempts = d.attempts + 1, next_attempt_at = null, last_attempt_at = v_now, last_status = v_stop.status,
        last_error = v_stop.error
      where d.webhook_name = v_webhook.webhook_name and (d.number, d.place) = (v_stop.number, v_stop.place)
        and v_stop.error is not null;
      continue;
    end if;
    -- Without an error it was not sent: that is no attempt, and it is due as it was.
    v_attempts := coalesce(v_waiting.attempts, 0) + (v_stop.error is not null)::integer;
    v_pause := case when v_stop.error is null then interval '0' else coupon.webhook_pause(v_attempts) end;
    delete from coupon.webhook_deliveries d
    where d.webhook_name = v_webhook.webhook_name and d.coupon_id = v_stop.coupon_id and d.dead_at is null;
    insert into coupon.webhook_deliveries (webhook_name, number, place, coupon_id, attempts, next_attempt_at, dead_at,
      last_attempt_at, last_status, last_error)
    values (v_webhook.webhook_name, v_stop.number, v_stop.place, v_stop.coupon_id, v_attempts,
      -- A little later each, so that what failed together is not sent together again.
      case when v_pause is not null then
        v_now + greatest(v_pause * (1 + random() / 10), make_interval(secs => least(coalesce(v_stop.wait, 0), 86400))) end,
      case when v_pause is null then v_now end,
      case when v_stop.error is null then v_waiting.last_attempt_at else v_now end,
      case when v_stop.error is null then v_waiting.last_status else v_stop.status end,
      coalesce(v_stop.error, v_waiting.last_error));
    if v_pause is null then
      -- The next one of its coupon has its turn.
      insert into coupon.webhook_deliveries (webhook_name, number, place, coupon_id, attempts, next_attempt_at)
      values (v_webhook.webhook_name, v_stop.number, v_stop.place + 1, v_stop.coupon_id, 0, v_now);
    end if;
  end loop;

  update coupon.webhooks w
  set
    after_number = coalesce(split_part(tell_webhook.page_end, '-', 1)::bigint, w.after_number),
    after_place = coalesce(split_part(tell_webhook.page_end, '-', 2)::integer, w.after_place),
    delivered_at = case when cardinality(tell_webhook.taken) > 0 then v_now else w.delivered_at end,
    failing_since = case
      when cardinality(tell_webhook.taken) > 0 then null
      when f.error is not null then coalesce(w.failing_since, v_now)
      else w.failing_since end,
    last_status = case when f.error is null then w.last_status else f.status end,
    last_error = case when f.error is null then w.last_error else f.error end,
    paused_until = greatest(w.paused_until, (
      select v_now + max(make_interval(secs => least(s.wait, 86400)))
      from unnest(tell_webhook.errors, tell_webhook.waits) s (error, wait)
      where s.error is not null and s.wait is not null))
  from (values (true)) one
  left join lateral (
    select s.status, left(s.error, 200) as error
    from unnest(tell_webhook.statuses, tell_webhook.errors) s (status, error)
    where s.error is not null
    order by s.status is not distinct from 410 desc
    limit 1
  ) f on true
  where w.webhook_name = v_webhook.webhook_name
  returning case
    when f.status = 410 then 'it answered 410 Gone'
    when w.failing_since < v_now - interval '5 days' and f.error is not null then 'it has taken nothing for 5 days' end
  into v_why;
  if v_why is not null and v_webhook.disabled_at is null then
    perform coupon.stop_webhook(v_webhook.webhook_name, v_why, null, 'server:webhooks');
    is_disabled := true;
  end if;
  return next;
end
$$;

comment on function public.tell_webhook(uuid, text, timestamptz, text, text[], text[], integer[], text[], integer[]) is
  'For the server process that has claim_webhooks(): what became of next_webhook_events(), of the webhook that was
created_at then. taken are, of each coupon, the last
event that arrived; stopped the first one that did not, with its status, its error (null: it was not sent) and the seconds
that the receiver asked to wait. page_end is the page''s, null where there was none. A coupon that stopped waits: 5 seconds,
5, 30 minutes, 2, 5, 10 and 14 hours after each attempt, a tenth more at most; then the event is dead. Who asks to wait is sent
nothing meanwhile, of other coupons neither. Who answers 410, or
takes nothing for 5 days, is disabled (is_disabled). is_told is false, and nothing is done, if another process has it by now
or the webhook is gone, even if another one has its name. Raises 22004 or 22023 for ids that are none.';

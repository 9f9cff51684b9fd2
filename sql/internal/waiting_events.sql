-- What waited long enough for a webhook, and what is dead and wanted again. A coupon that has caught up waits no longer.
create or replace function coupon.waiting_events(webhook coupon.webhooks)
returns table (
  event_id text,
  event public.event_type,
  at timestamptz,
  of_coupon bigint,
  user_id bigint,
  "position" integer,
  use_reference text,
  old_values jsonb,
  new_values jsonb,
  is_dead boolean
)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_due record;
  v_last_number bigint;
  v_last_place integer;
begin
  for v_due in
    -- Of coupons with many rows that nobody wants, so many are looked at in one call.
    select d.*, 10000 / count(*) over () as row_count
    from (
      select d.*
      from coupon.webhook_deliveries d
      where d.webhook_name = webhook.webhook_name and d.next_attempt_at <= clock_timestamp()
      order by d.next_attempt_at
      limit 20
    ) d
    order by d.dead_at is not null, d.number, d.place
  loop
    is_dead := v_due.dead_at is not null;
    if is_dead then
      return query
      select a.event_id, a.event, a.at, a.of_coupon, a.user_id, a.position, a.use_reference, a.old_values, a.new_values, true
      from coupon.events_after(v_due.number, v_due.place - 1, 1, v_due.number, v_due.coupon_id) a
      where a.at_place = v_due.place;
    else
      select e.number, coupon.last_place(e) into v_last_number, v_last_place
      from coupon.events e
      where (coalesce(e.coupon_id, 0), e.number) >= (v_due.coupon_id, v_due.number)
        and (coalesce(e.coupon_id, 0), e.number) < (v_due.coupon_id, webhook.after_number)
      order by coalesce(e.coupon_id, 0), e.number
      offset v_due.row_count - 1
      limit 1;
      return query
      select a.event_id, a.event, a.at, a.of_coupon, a.user_id, a.position, a.use_reference, a.old_values, a.new_values, false
      from coupon.events_after(v_due.number, v_due.place - 1, 50, coalesce(v_last_number, webhook.after_number),
        v_due.coupon_id, webhook.event_types) a
      where (a.at_number, a.at_place) <= (webhook.after_number, webhook.after_place);
    end if;
    if found then
      continue;
    end if;
    if is_dead or v_last_number is null then
      -- It has caught up, or is gone with its coupon.
      delete from coupon.webhook_deliveries d
      where d.webhook_name = webhook.webhook_name and (d.number, d.place) = (v_due.number, v_due.place);
    else
      update coupon.webhook_deliveries d
      set number = v_last_number, place = v_last_place + 1, attempts = 0, next_attempt_at = clock_timestamp(),
        last_attempt_at = null, last_status = null, last_error = null
      where d.webhook_name = webhook.webhook_name and (d.number, d.place) = (v_due.number, v_due.place);
    end if;
  end loop;
end
$$;

comment on function coupon.waiting_events(coupon.webhooks) is
  'Of at most 20 coupons that wait and whose time has come, the first 50 events each; and what is dead and wanted again, which
is_dead. The caller has locked the webhook.';

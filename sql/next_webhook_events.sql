-- What is to be sent to a webhook now: a page of what was gathered since, and what waited long enough. Nothing is written but
-- that an event that nobody wants is passed over, and that a coupon has caught up. Gathers nothing: who calls it reads events()
-- before, in a transaction of its own, so that a page that fails takes nothing back from other readers.
create or replace function public.next_webhook_events(sender uuid, webhook_name text, page_size integer default 200)
returns table (
  created_at timestamptz,
  page_end text,
  event_id text,
  event public.event_type,
  at timestamptz,
  coupon_id bigint,
  user_id bigint,
  "position" integer,
  use_reference text,
  old_values jsonb,
  new_values jsonb,
  is_dead boolean
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_webhook coupon.webhooks;
  v_last_number bigint;
begin
  perform coupon.check_webhook_name(next_webhook_events.webhook_name);
  if next_webhook_events.page_size is null or next_webhook_events.page_size not between 1 and 1000 then
    perform coupon.refuse_argument('page_size', 'must lie between 1 and 1000');
  end if;
  if not coupon.holds_webhooks(next_webhook_events.sender) then
    return;
  end if;
  select w.* into v_webhook
  from coupon.webhooks w
  where w.webhook_name = next_webhook_events.webhook_name and w.disabled_at is null
  for no key update;
  if not found or v_webhook.paused_until > clock_timestamp() then
    return;
  end if;
  -- Where hardly anything is wanted, so many rows are looked at in one call.
  select least(g.last_number, v_webhook.after_number + 10000) into v_last_number from coupon.gathered g;

  return query
  select v_webhook.created_at, null::text, d.event_id, d.event, d.at, d.of_coupon, d.user_id, d.position, d.use_reference,
    d.old_values, d.new_values, d.is_dead
  from coupon.waiting_events(v_webhook) d;

  return query
  with page as materialized (
    select a.*
    from coupon.events_after(v_webhook.after_number, v_webhook.after_place, next_webhook_events.page_size, v_last_number,
      event_types => v_webhook.event_types) a
  ), ends as materialized (
    -- The page is full, or all that is gathered was looked at.
    select p.at_number, p.at_place
    from page p
    where (select count(*) from page) = next_webhook_events.page_size
    union all
    select v_last_number, 2147483646
    where (select count(*) from page) < next_webhook_events.page_size
    order by 1 desc, 2 desc
    limit 1
  ), wanted as materialized (
    select p.*
    from page p
    where not exists (
      select from coupon.webhook_deliveries d
      where d.webhook_name = v_webhook.webhook_name and d.coupon_id = coalesce(p.of_coupon, 0) and d.dead_at is null)
  ), passed as (
    update coupon.webhooks w
    set after_number = n.at_number, after_place = n.at_place
    from ends n
    where w.webhook_name = v_webhook.webhook_name and not exists (select from wanted)
      and (n.at_number, n.at_place) > (w.after_number, w.after_place)
  )
  select v_webhook.created_at, n.at_number || '-' || n.at_place, p.event_id, p.event, p.at, p.of_coupon, p.user_id, p.position,
    p.use_reference, p.old_values, p.new_values, false
  from wanted p
  cross join ends n
  order by p.at_number, p.at_place;
end
$$;

comment on function public.next_webhook_events(uuid, text, integer) is
  'For the server process that has claim_webhooks(): the events that are to be sent to a webhook now, of a coupon in their
order; none if another process has it, or while the webhook asked to be sent nothing. Those with a page_end are the next page_size (1 to 1000) of what happened; those
without waited, and is_dead are those to be sent again. created_at is the webhook''s, for tell_webhook(), which says what became
of them. What happened since anyone read events() is not in it.';

-- What did not arrive at a webhook: the first event of each coupon that waits, and what was given up.
create or replace function public.list_webhook_deliveries(webhook_name text, page_size integer default 100)
returns table (
  event_id text,
  event public.event_type,
  coupon_id bigint,
  attempts integer,
  next_attempt_at timestamptz,
  dead_at timestamptz,
  last_attempt_at timestamptz,
  last_status integer,
  last_error text
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.check_webhook_name(list_webhook_deliveries.webhook_name);
  if list_webhook_deliveries.page_size is null or list_webhook_deliveries.page_size not between 1 and 1000 then
    perform coupon.refuse_argument('page_size', 'must lie between 1 and 1000');
  end if;

  return query
  select coupon.event_id(e, d.place), a.event, nullif(d.coupon_id, 0), d.attempts, d.next_attempt_at, d.dead_at,
    d.last_attempt_at, d.last_status, d.last_error
  from (
    select d.*
    from coupon.webhook_deliveries d
    where d.webhook_name = list_webhook_deliveries.webhook_name
    order by d.dead_at is not null, d.number, d.place
    limit list_webhook_deliveries.page_size
  ) d
  join coupon.events e on e.number = d.number
  left join lateral (
    select a.event
    from coupon.events_after(d.number, d.place - 1, 1, last_number => d.number) a
    where a.at_place = d.place
  ) a on true
  order by d.dead_at is not null, d.number, d.place;
end
$$;

comment on function public.list_webhook_deliveries(text, integer) is
  'The first page_size (1 to 1000) deliveries that a webhook did not take, the oldest first: of each coupon the event that waits
(dead_at is null), when it is sent again and behind it all later ones of that coupon; then what was given up. A row without an
event waits to go on with the next event of its coupon. resend_webhook() sends them at once.';

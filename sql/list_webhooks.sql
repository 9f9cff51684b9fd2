-- The webhooks by name, and how each is doing; never their secrets.
create or replace function public.list_webhooks()
returns table (
  webhook_name text,
  url text,
  event_types public.event_type[],
  created_at timestamptz,
  delivered_at timestamptz,
  failing_since timestamptz,
  last_status integer,
  last_error text,
  disabled_at timestamptz,
  disabled_reason text,
  second_secret_until timestamptz,
  waiting integer,
  dead integer,
  behind interval
)
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  select
    w.webhook_name, w.url, w.event_types, w.created_at, w.delivered_at, w.failing_since, w.last_status, w.last_error,
    w.disabled_at, w.disabled_reason,
    (select s.ends_at from coupon.webhook_secrets s where s.webhook_name = w.webhook_name and s.ends_at > clock_timestamp()),
    d.waiting, d.dead,
    greatest(interval '0', clock_timestamp() - least(d.gathered_at, (
      select e.gathered_at
      from coupon.events e
      where e.number = case
        when exists (
          select from coupon.events l
          where l.number = w.after_number and w.after_place < coupon.last_place(l))
        then w.after_number else w.after_number + 1 end)))
  from coupon.webhooks w
  cross join lateral (
    select
      (count(*) filter (where d.dead_at is null))::integer as waiting,
      (count(*) filter (where d.dead_at is not null))::integer as dead,
      min(e.gathered_at) filter (where d.dead_at is null) as gathered_at
    from coupon.webhook_deliveries d
    left join coupon.events e on e.number = d.number
    where d.webhook_name = w.webhook_name
  ) d
  order by w.webhook_name
$$;

comment on function public.list_webhooks() is
  'The webhooks by name: what they are told, when they took an event last (delivered_at), since when they have taken nothing
that was sent (failing_since) and why, since when and why they are disabled, until when the secret before the newest signs
too; for how many coupons an event waits (waiting), how many events were given up (dead), and how old the oldest event is that
was not sent or waits (behind; 0: none). list_webhook_deliveries() names them.';

-- The events behind a place of coupon.events, as far as they are gathered: events() and what is sent to webhooks. With a bitmap
-- all grants of a row would be read and sorted, for a page of them.
create or replace function coupon.events_after(
  number bigint,
  place integer,
  page_size integer,
  last_number bigint default null,
  coupon_id bigint default null,
  event_types public.event_type[] default '{}'
)
returns table (
  at_number bigint,
  at_place integer,
  event_id text,
  event public.event_type,
  at timestamptz,
  of_coupon bigint,
  user_id bigint,
  "position" integer,
  use_reference text,
  old_values jsonb,
  new_values jsonb
)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
-- One coupon's events are found by another index than those of all.
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
  return query
  select e.number, x.place, coupon.event_id(e, x.place), x.event, x.at, e.coupon_id, x.user_id, x.position, x.use_reference,
    x.old_values, x.new_values
  from coupon.events e
  cross join lateral (
    (select
      g.position as place, 'issued'::public.event_type as event, g.issued_at as at, g.user_id, g.position,
      null as use_reference, null::jsonb as old_values, null::jsonb as new_values
    from coupon.user_coupons g
    where (events_after.event_types = '{}' or 'issued' = any (events_after.event_types))
      and coupon.position_key(g.coupon_id, g.position) between
        coupon.position_key(e.coupon_id,
          case when e.number = events_after.number then greatest(e.first_position, events_after.place + 1)
            else e.first_position end)
        and coupon.position_key(e.coupon_id, e.last_position)
    order by coupon.position_key(g.coupon_id, g.position)
    limit events_after.page_size)
    union all
    select e.last_position + 1, 'sold_out', g.issued_at, null, g.position, null, null, null
    from coupon.user_coupons g
    where e.sold_out and (e.number, e.last_position + 1) > (events_after.number, events_after.place)
      and coupon.position_key(g.coupon_id, g.position) = coupon.position_key(e.coupon_id, e.last_position)
    union all
    select
      0, coupon.event_of(a), coalesce(case a.command when 'use_coupon' then a.used_date end, a.at), a.user_id, null,
      coalesce(a.new_values, a.old_values)->>'use_reference',
      case when a.used_date is null then a.old_values end, case when a.used_date is null then a.new_values end
    from coupon.audit a
    where a.id = e.audit_id and (e.number, 0) > (events_after.number, events_after.place)
  ) x
  where case
      when events_after.coupon_id is null
      then e.number >= events_after.number and (events_after.last_number is null or e.number <= events_after.last_number)
      -- Both in one comparison, so that no plan reads those of other coupons.
      else (coalesce(e.coupon_id, 0), e.number) >= (events_after.coupon_id, events_after.number)
        and (coalesce(e.coupon_id, 0), e.number)
          <= (events_after.coupon_id, coalesce(events_after.last_number, 9223372036854775807)) end
    -- Of grants a page at most is looked at, since all are of one type.
    and (events_after.event_types = '{}' or x.event = any (events_after.event_types))
  order by case when events_after.coupon_id is not null then coalesce(e.coupon_id, 0) end, e.number, x.place
  limit events_after.page_size;
end
$$;

comment on function coupon.events_after(bigint, integer, integer, bigint, bigint, public.event_type[]) is
  'The first page_size events behind this number and place: of all rows or up to last_number, of all coupons or of one (0: of
none), of all types or of these. The place -1 is before all of the number.';

-- Adds what a server process counted: how many requests it refused, and how many it answered already_issued, by coupon. Takes
-- no lock that issuing waits for.
create or replace function public.count_demand(
  sender uuid,
  number bigint,
  ago interval,
  coupon_ids bigint[],
  refused integer[],
  replayed integer[]
)
returns interval
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('sender', count_demand.sender is null, 'must not be null'),
    ('number', count_demand.number is null, 'must not be null'),
    ('ago', count_demand.ago is null, 'must not be null'),
    ('ago', count_demand.ago not between '0' and '31 days', 'must lie between 0 and 31 days'),
    ('coupon_ids', count_demand.coupon_ids is null, 'must not be null'),
    ('coupon_ids', array_ndims(count_demand.coupon_ids) > 1, 'must have one dimension'),
    ('coupon_ids', cardinality(count_demand.coupon_ids) > 10000, 'must have at most 10000 elements'),
    ('refused', cardinality(count_demand.refused) is distinct from cardinality(count_demand.coupon_ids),
      'must have as many elements as coupon_ids'),
    ('refused', 0 > any (count_demand.refused), 'must not be below 0'),
    ('replayed', cardinality(count_demand.replayed) is distinct from cardinality(count_demand.coupon_ids),
      'must have as many elements as coupon_ids'),
    ('replayed', 0 > any (count_demand.replayed), 'must not be below 0')
  ) a (name, is_bad, why)
  where a.is_bad;

  -- First, so that the same call once more, at the same time too, finds that it is counted.
  insert into coupon.demand_senders as s (sender, last_number, told_at)
  values (count_demand.sender, count_demand.number, v_now)
  on conflict on constraint demand_senders_pkey do update
  set last_number = excluded.last_number, told_at = excluded.told_at
  where s.last_number < excluded.last_number;
  if found then
    -- Sorted, so that two senders do not wait for each other.
    insert into coupon.demand as d (coupon_id, second, refused, replayed)
    select c.id, date_bin('1 second', v_now - count_demand.ago, '1970-01-01Z'),
      coalesce(sum(q.refused), 0), coalesce(sum(q.replayed), 0)
    from unnest(count_demand.coupon_ids, count_demand.refused, count_demand.replayed) q (coupon_id, refused, replayed)
    join coupon.coupons c on c.id = q.coupon_id
    group by c.id
    order by c.id
    on conflict on constraint demand_pkey do update
    set refused = d.refused + excluded.refused, replayed = d.replayed + excluded.replayed;

    delete from coupon.demand_senders s where s.told_at < v_now - interval '1 day' and count_demand.number = 1;
  end if;
  return date_bin('1 second', v_now, '1970-01-01Z') + interval '1 second' - v_now;
end
$$;

comment on function public.count_demand(uuid, bigint, interval, bigint[], integer[], integer[]) is
  'For a server: adds what it counted in the second that was ago, for at most 10000 coupons: refusals, and answers
already_issued. sender names the process, number rises with each call, from 1; a call with a number that is counted
already adds nothing, so one whose answer was lost can be sent again, within a day. Coupons that are not there are left out. Answers
how long the second of the database clock still lasts, so that a server can count by the same seconds.';

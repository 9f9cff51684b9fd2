-- How a drop went: requests, grants and refusals in each second of it, or in another bucket; buckets without any are there
-- too.
--
-- From the first request to the last, counted from start_time. Reads no grant but those at which a bucket ends, which are
-- searched for by position: ten million grants in 10000 buckets take two seconds or three.
create or replace function public.coupon_timeline(
  coupon_id bigint,
  bucket interval default '1 second',
  since timestamptz default null,
  before timestamptz default null
)
returns table (begins_at timestamptz, asked bigint, grants integer, refused bigint, issued integer)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_bucket interval;
  v_coupon coupon.coupons;
  v_first timestamptz;
  v_last timestamptz;
  v_from timestamptz;
  v_to timestamptz;
  v_next timestamptz;
  v_end timestamptz;
  v_buckets bigint;
  v_refused bigint[];
  v_replayed bigint[];
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('coupon_id', coupon_timeline.coupon_id is null, 'must not be null'),
    ('bucket', coupon_timeline.bucket is null, 'must not be null'),
    ('bucket', coupon_timeline.bucket not between '1 millisecond' and '366 days',
      'must lie between 1 millisecond and 366 days'),
    ('bucket', extract(month from coupon_timeline.bucket) <> 0 or extract(year from coupon_timeline.bucket) <> 0,
      'must be in days or smaller: months differ')
  ) a (name, is_bad, why)
  where a.is_bad;

  -- In seconds alone: how long a day is would be for the session's time zone to say.
  v_bucket := extract(epoch from coupon_timeline.bucket) * interval '1 second';
  select c.* into v_coupon from coupon.coupons c where c.id = coupon_timeline.coupon_id;
  select g.issued_at into v_first
  from coupon.user_coupons g
  where coupon.position_key(g.coupon_id, g.position) = coupon.position_key(v_coupon.id, 1);
  select greatest(g.issued_at, v_first) into v_last
  from coupon.user_coupons g
  where coupon.position_key(g.coupon_id, g.position) = coupon.position_key(v_coupon.id, v_coupon.issued);
  select least(v_first, min(d.second)), greatest(v_last, max(d.second)) into v_from, v_to
  from coupon.demand d
  where d.coupon_id = v_coupon.id;
  if v_from is null then
    return;
  end if;
  v_from := greatest(v_from, coupon_timeline.since);
  v_to := least(v_to, coupon_timeline.before);
  if (v_from <= v_to and v_from < coalesce(coupon_timeline.before, 'infinity')) is not true then
    return;
  end if;

  begins_at := date_bin(v_bucket, v_from, v_coupon.start_time);
  v_buckets := 1 + floor(extract(epoch from v_to - begins_at) / extract(epoch from v_bucket));
  if begins_at + (v_buckets - 1) * v_bucket >= coupon_timeline.before then
    v_buckets := v_buckets - 1;
  end if;
  if v_buckets > 10000 then
    perform coupon.refuse_argument('bucket', format(
      'must be longer: this would make %s buckets, and 10000 is the most; %s seconds would do', v_buckets,
      ceil(extract(epoch from v_to - v_from) / 9999)::bigint));
  end if;

  -- A second counts to the bucket in which it begins.
  select array_agg(coalesce(s.refused, 0) order by n.place), array_agg(coalesce(s.replayed, 0) order by n.place)
  into v_refused, v_replayed
  from generate_series(1, v_buckets) n (place)
  left join (
    select 1 + floor(extract(epoch from d.second - coupon_timeline.begins_at) / extract(epoch from v_bucket)) as place,
      sum(d.refused)::bigint as refused, sum(d.replayed)::bigint as replayed
    from coupon.demand d
    where d.coupon_id = v_coupon.id and d.second >= coupon_timeline.begins_at
      and d.second < coupon_timeline.begins_at + v_buckets * v_bucket
    group by 1
  ) s on s.place = n.place;

  issued := case
    when begins_at > v_first then coupon.issued_before(v_coupon.id, begins_at, 1, v_coupon.issued)
    else 0 end;
  for i in 1 .. v_buckets loop
    v_end := begins_at + v_bucket;
    -- The first grant that is in no bucket yet; null: there is none.
    select g.issued_at into v_next
    from coupon.user_coupons g
    where coupon.position_key(g.coupon_id, g.position) = coupon.position_key(v_coupon.id, coupon_timeline.issued + 1);
    grants := case
      when v_next < v_end then case
        when v_last < v_end then v_coupon.issued
        else coupon.issued_before(v_coupon.id, v_end, issued + 1, v_coupon.issued) end - issued
      else 0 end;
    issued := issued + grants;
    refused := v_refused[i];
    asked := grants + refused + v_replayed[i];
    return next;
    begins_at := v_end;
  end loop;
end
$$;

comment on function public.coupon_timeline(bigint, interval, timestamptz, timestamptz) is
  'The drop in buckets of time, counted from start_time, from the first request''s to the last one''s, or of those the ones
from since on and before an instant. In each: asked, the requests that were answered; grants; refused; 0 where there were
none; the rest were replays. issued is the total of grants up to its end. Of refusals and replays only the second is known, and
after a month the quarter of an hour: they count to the bucket in which that begins. At most 10000 buckets, else 22023 with a bucket
that would do. No row: no such coupon, or nobody asked.';

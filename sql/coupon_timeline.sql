-- How a drop went: grants in each second of it, or in another bucket, and in total; buckets without any are there too.
--
-- From the bucket of the first grant to that of the last, counted from start_time. Reads no grant but those at which a
-- bucket ends, which are searched for by position: ten million grants in 10000 buckets take two seconds or three.
create or replace function public.coupon_timeline(coupon_id bigint, bucket interval default '1 second')
returns table (begins_at timestamptz, grants integer, issued integer)
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
  v_next timestamptz;
  v_end timestamptz;
  v_buckets bigint;
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
  if not found then
    return;
  end if;
  select greatest(g.issued_at, v_first) into v_last
  from coupon.user_coupons g
  where coupon.position_key(g.coupon_id, g.position) = coupon.position_key(v_coupon.id, v_coupon.issued);

  begins_at := date_bin(v_bucket, v_first, v_coupon.start_time);
  v_buckets := 1 + floor(extract(epoch from v_last - begins_at) / extract(epoch from v_bucket));
  if v_buckets > 10000 then
    perform coupon.refuse_argument('bucket', format(
      'must be longer: this would make %s buckets, and 10000 is the most; %s seconds would do', v_buckets,
      ceil(extract(epoch from v_last - v_first) / 9999)::bigint));
  end if;

  issued := 0;
  v_next := v_first; -- the first grant that is in no bucket yet
  for i in 1 .. v_buckets loop
    v_end := begins_at + v_bucket;
    grants := 0;
    if v_next < v_end then
      grants := case
        when v_last < v_end then v_coupon.issued
        else coupon.issued_before(v_coupon.id, v_end, issued + 1, v_coupon.issued) end - issued;
      issued := issued + grants;
      select g.issued_at into v_next
      from coupon.user_coupons g
      where coupon.position_key(g.coupon_id, g.position)
        = coupon.position_key(v_coupon.id, coupon_timeline.issued + 1);
    end if;
    return next;
    begins_at := v_end;
  end loop;
end
$$;

comment on function public.coupon_timeline(bigint, interval) is
  'The drop in buckets of time, counted from start_time, from the first grant''s to the last one''s: grants in each, 0
where there were none, and issued, their total up to its end. At most 10000 buckets, else 22023 with a bucket that
would do. No row: no such coupon, or nothing issued.';

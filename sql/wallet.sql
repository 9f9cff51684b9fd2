-- What a user holds, the newest day first. A user has one coupon a day, so the day is the key to page by; the days that
-- exist are walked backwards, which needs no index of grants by user.
create or replace function public.wallet(user_id bigint, before date default null, page_size integer default 50)
returns table (
  state public.wallet_state,
  coupon_id bigint,
  code text,
  message text,
  description text,
  "position" integer,
  issued_on date,
  issued_at timestamptz,
  expiry timestamptz,
  used_date timestamptz,
  use_reference text
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
begin
  if wallet.user_id is null then
    perform coupon.refuse_argument('user_id', 'must not be null');
  end if;
  if wallet.page_size is null or wallet.page_size not between 1 and 1000 then
    perform coupon.refuse_argument('page_size', 'must lie between 1 and 1000');
  end if;

  return query
  with recursive days (day) as (
    select max(g.issued_on) from coupon.user_coupons g
    where g.issued_on < coalesce(wallet.before, 'infinity'::date)
    union all
    select (select max(g.issued_on) from coupon.user_coupons g where g.issued_on < d.day)
    from days d
    where d.day is not null
  )
  select
    case when g.is_used then 'used' when g.expiry <= now.at then 'expired' else 'issued' end::public.wallet_state,
    g.coupon_id, c.code, c.message, c.description, g.position, g.issued_on, g.issued_at, g.expiry, g.used_date,
    g.use_reference
  from (select clock_timestamp() as at) now
  cross join days d
  join coupon.user_coupons g on g.issued_on = d.day and g.user_id = wallet.user_id
  join coupon.coupons c on c.id = g.coupon_id
  order by g.issued_on desc
  limit wallet.page_size;
end
$$;

comment on function public.wallet(bigint, date, integer) is
  'The coupons a user holds, newest first, at most page_size (1 to 1000) of them. For the next page give the last
issued_on as before. state: issued (can be used), used, expired.';

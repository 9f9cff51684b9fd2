-- What a user holds, the newest day first. A user has one coupon a day, so the day is the key to page by. No index of grants
-- begins with the user: days that fold_grants() has not reached are probed by the key (issued_on, user_id), as many in a
-- statement as make it cheap, until the page is full. Older ones are found by user. The plans are generic: to plan the
-- probes anew for each call costs twice as much as they do.
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
  claim_code text,
  used_date timestamptz,
  use_reference text
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_first date; -- the first day to probe, and the end of those that are folded
  v_last date;
  v_days integer := 32;
  v_coupons bigint[] := '{}';
begin
  if wallet.user_id is null then
    perform coupon.refuse_argument('user_id', 'must not be null');
  end if;
  if wallet.page_size is null or wallet.page_size not between 1 and 1000 then
    perform coupon.refuse_argument('page_size', 'must lie between 1 and 1000');
  end if;

  select f.issued_on + (f.user_id >= wallet.user_id)::integer into v_first from coupon.folded f;
  if not isfinite(v_first) then
    select min(g.issued_on) into v_first from coupon.user_coupons g;
  end if;
  select max(g.issued_on) into v_last from coupon.user_coupons g
  where g.issued_on < coalesce(wallet.before, 'infinity'::date);

  while cardinality(v_coupons) < wallet.page_size and v_last >= v_first loop
    v_coupons := v_coupons || array(
      select g.coupon_id
      from coupon.user_coupons g
      where g.user_id = wallet.user_id
        and g.issued_on = any (
          array(select v_last - n from generate_series(0, least(v_days, v_last - v_first + 1) - 1) n))
        and (select true from coupon.coupons c where c.id = g.coupon_id)
      order by g.issued_on desc
      limit wallet.page_size - cardinality(v_coupons));
    v_last := v_last - v_days;
    v_days := least(v_days * 2, 1024);
  end loop;
  v_coupons := v_coupons || array(
    select p.coupon_id
    from coupon.past_grants p
    where p.user_id = wallet.user_id and p.issued_on < least(v_first, wallet.before)
      and (select true from coupon.coupons c where c.id = p.coupon_id)
    order by p.issued_on desc
    limit wallet.page_size - cardinality(v_coupons));

  if v_coupons = '{}' then
    return; -- as for most who look before a drop; saves a quarter
  end if;
  return query
  select
    case when g.is_used then 'used' when g.expiry <= now.at then 'expired' else 'issued' end::public.wallet_state,
    g.coupon_id, c.code, c.message, c.description, g.position, g.issued_on, g.issued_at, g.expiry,
    case when g.expiry > now.at then coupon.claim_code(s.id, s.key, g.coupon_id, g.position) end,
    g.used_date, g.use_reference
  from (select clock_timestamp() as at) now
  cross join coupon.user_coupons g
  join coupon.coupons c on c.id = g.coupon_id
  -- Who has a code can use the coupon at a till: so who may only read is told none. A till takes none of a person who is forgotten.
  left join (
    select s.id, s.key
    from coupon.claim_secrets s
    where has_function_privilege(session_user, 'public.use_claim(text, text, text)'::regprocedure, 'execute')
      and not exists (select from coupon.forgotten_users f where f.user_id = wallet.user_id)
    order by s.id desc
    limit 1
  ) s on true
  where g.user_id = wallet.user_id and g.coupon_id = any (v_coupons)
  order by g.issued_on desc;
end
$$;

comment on function public.wallet(bigint, date, integer) is
  'The coupons a user holds, newest first, at most page_size (1 to 1000) of them. For the next page give the last
issued_on as before. state: issued (can be used), used, expired. claim_code is what a till takes (use_claim()), like
7K3M-PX2A-9QTD; null after expiry, and for a login that may not use coupons.';

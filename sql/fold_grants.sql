-- Copies grants of days that are a month over to coupon.past_grants, where wallet() finds them by user. Takes no lock that issuing
-- takes. Only one call works at a time; another one returns at once.
create or replace function public.fold_grants(at_most integer default 5000)
returns integer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_folded coupon.folded;
  -- Whatever zone is set, and if the clock is wrong by less than a month, no grant of a day before these is still made.
  v_end date := coupon.today() - 32;
  v_count integer;
begin
  if fold_grants.at_most is null or fold_grants.at_most not between 1 and 100000 then
    perform coupon.refuse_argument('at_most', 'must lie between 1 and 100000');
  end if;

  select f.* into v_folded from coupon.folded f for no key update skip locked;
  if not found then
    return 0;
  end if;

  if (v_folded.issued_on, v_folded.user_id) > (v_end, 0) then
    -- The clock was wrong by more, and was set back: days that may get grants again are not over.
    update coupon.folded f set issued_on = v_end, user_id = 0;
    return 0;
  end if;
  with part as (
    select g.user_id, g.issued_on, g.coupon_id
    from coupon.user_coupons g
    where (g.issued_on, g.user_id) > (v_folded.issued_on, v_folded.user_id) and g.issued_on < v_end
    order by g.issued_on, g.user_id
    limit fold_grants.at_most
  ), copied as (
    insert into coupon.past_grants (user_id, issued_on, coupon_id)
    select p.user_id, p.issued_on, p.coupon_id from part p order by p.user_id
    on conflict on constraint past_grants_pkey do nothing
  ), moved as (
    update coupon.folded f set issued_on = l.issued_on, user_id = l.user_id
    from (select p.issued_on, p.user_id from part p order by p.issued_on desc, p.user_id desc limit 1) l
  )
  select count(*) into v_count from part;
  return v_count;
end
$$;

comment on function public.fold_grants(integer) is
  'Copies the next at_most (1 to 100000) grants of days that are over, the oldest first, to where wallet() finds them by user,
and answers how many. Each server calls it every minute, and any scheduler may. Without it wallet() is as right, and slower with
years of days.';

-- Puts seconds of demand that are a month over into quarters of an hour: every zone's days begin with one. Takes no lock
-- that issuing takes; several calls at once share the work. Leaves out a coupon that is being deleted, for whose demand
-- retire_coupons() would wait in turn.
create or replace function public.fold_demand(at_most integer default 5000)
returns integer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_count integer;
begin
  if fold_demand.at_most is null or fold_demand.at_most not between 1 and 100000 then
    perform coupon.refuse_argument('at_most', 'must lie between 1 and 100000');
  end if;

  with gone as (
    delete from coupon.demand d
    where d.ctid = any (array(
      select p.ctid
      from coupon.demand p
      join coupon.coupons c on c.id = p.coupon_id
      where p.second <> date_bin('15 minutes', p.second, '1970-01-01Z') and p.second < clock_timestamp() - interval '32 days'
      order by p.second, p.coupon_id
      limit fold_demand.at_most
      for update of p skip locked
      for key share of c skip locked))
    returning d.coupon_id, d.second, d.refused, d.replayed
  ), kept as (
    insert into coupon.demand as d (coupon_id, second, refused, replayed)
    select g.coupon_id, date_bin('15 minutes', g.second, '1970-01-01Z'), sum(g.refused), sum(g.replayed)
    from gone g
    group by 1, 2
    order by 1, 2
    on conflict on constraint demand_pkey do update
    set refused = d.refused + excluded.refused, replayed = d.replayed + excluded.replayed
  )
  select count(*) into v_count from gone;
  return v_count;
end
$$;

comment on function public.fold_demand(integer) is
  'Puts the next at_most (1 to 100000) seconds of demand that are a month over, the oldest first, into their quarters of an
hour, and answers how many. Sums stay what they are. Each server calls it every minute, and any scheduler may. Without it a
coupon that is asked for all day long keeps up to 86400 rows a day.';

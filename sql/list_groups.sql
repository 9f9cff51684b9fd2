-- Groups by name, a page at a time: those that have members, and those that a coupon names.
--
-- Names are found one after the other, each as the first one behind the one before: the key of group_members is not read
-- as a whole. Coupons are, which are few.
create or replace function public.list_groups(after text default null, page_size integer default 100)
returns table (group_name text, member_count bigint, coupon_count bigint)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_after text collate "C" := coalesce(list_groups.after, '');
begin
  if list_groups.page_size is null or list_groups.page_size not between 1 and 1000 then
    perform coupon.refuse_argument('page_size', 'must lie between 1 and 1000');
  end if;

  return query
  with recursive with_members (name, place) as (
    (select m.group_name, 1
    from coupon.group_members m
    where m.group_name > v_after
    order by m.group_name
    limit 1)
    union all
    select (
      select m.group_name from coupon.group_members m where m.group_name > w.name order by m.group_name limit 1
    ), w.place + 1
    from with_members w
    where w.name is not null and w.place < list_groups.page_size
  ), named as materialized (
    select c.eligible_group as name, count(*) as coupon_count
    from coupon.coupons c
    where c.eligible_group > v_after
    group by c.eligible_group
  ), page as (
    select coalesce(w.name, n.name) as name, coalesce(n.coupon_count, 0) as coupon_count
    from (select w.name from with_members w where w.name is not null) w
    full join named n on n.name = w.name
    order by 1
    limit list_groups.page_size
  )
  select p.name, (select count(*) from coupon.group_members m where m.group_name = p.name), p.coupon_count
  from page p
  order by p.name;
end
$$;

comment on function public.list_groups(text, integer) is
  'The next page_size (1 to 1000) groups by name, with how many members each has and how many coupons name it
(set_coupon_group()); for the next page give the last group_name as after. One that a coupon names and that has no members
is among them: it may be misspelt. Reads all members of these groups.';

-- The members of a group by id, a page at a time.
create or replace function public.list_group(group_name text, after bigint default 0, page_size integer default 1000)
returns table (user_id bigint, display_name text)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('group_name', list_group.group_name is null, 'must not be null'),
    ('after', list_group.after is null, 'must not be null'),
    ('page_size', list_group.page_size is null or list_group.page_size not between 1 and 10000,
      'must lie between 1 and 10000')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.check_group_name(list_group.group_name);

  return query
  select m.user_id, u.display_name
  from (
    select m.user_id
    from coupon.group_members m
    where m.group_name = list_group.group_name and m.user_id > list_group.after
    order by m.user_id
    limit list_group.page_size
  ) m
  join coupon.users u on u.id = m.user_id
  order by m.user_id;
end
$$;

comment on function public.list_group(text, bigint, integer) is
  'The next page_size (1 to 10000) members of a group by id; for the next page give the last user_id as after. None: there is
no such group.';

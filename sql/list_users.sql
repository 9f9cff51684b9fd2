-- All users by id, a page at a time: for an export, and for whoever compares them with another list.
create or replace function public.list_users(after bigint default 0, page_size integer default 1000)
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
  if list_users.after is null then
    perform coupon.refuse_argument('after', 'must not be null');
  end if;
  if list_users.page_size is null or list_users.page_size not between 1 and 10000 then
    perform coupon.refuse_argument('page_size', 'must lie between 1 and 10000');
  end if;

  return query
  select u.id, u.display_name
  from coupon.users u
  where u.id > list_users.after
  order by u.id
  limit list_users.page_size;
end
$$;

comment on function public.list_users(bigint, integer) is
  'The next page_size (1 to 10000) users by id; for the next page give the last user_id as after. In psql all of them:
\copy (select id as user_id, display_name from coupon.users) to ''users.csv'' with (format csv, header, encoding ''utf8'')';

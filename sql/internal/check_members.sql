-- Asserts the arguments of add_to_group() and remove_from_group().
create or replace function coupon.check_members(group_name text, user_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if check_members.group_name is null then
    perform coupon.refuse_argument('group_name', 'must not be null');
  end if;
  perform coupon.check_group_name(check_members.group_name);
  perform coupon.check_user_ids(check_members.user_ids);
end
$$;

comment on function coupon.check_members(text, bigint[]) is
  'Refuses a group''s name that no group can have, and ids of users as check_user_ids() does.';

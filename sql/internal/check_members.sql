-- Asserts the arguments of add_to_group() and remove_from_group().
create or replace function coupon.check_members(group_name text, user_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('group_name', check_members.group_name is null, 'must not be null'),
    ('user_ids', check_members.user_ids is null, 'must not be null'),
    ('user_ids', array_ndims(check_members.user_ids) > 1, 'must have one dimension'),
    ('user_ids', cardinality(check_members.user_ids) > 100000, 'must have at most 100000 elements')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.check_group_name(check_members.group_name);

  perform coupon.refuse_argument('user_ids', a.why)
  from (
    select 'must lie between 1 and 9007199254740991'
    from unnest(check_members.user_ids) i (id)
    where i.id is null or i.id not between 1 and 9007199254740991
    union all
    select 'must not repeat: ' || min(i.id)
    from unnest(check_members.user_ids) i (id)
    group by i.id having count(*) > 1
  ) a (why);
end
$$;

comment on function coupon.check_members(text, bigint[]) is
  'Refuses a group''s name, or ids of users, that nobody can have, more than 100000, and an id given twice.';

-- Asserts the ids of users that are given to one call.
create or replace function coupon.check_user_ids(user_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.refuse_argument('user_ids', a.why)
  from (values
    (check_user_ids.user_ids is null, 'must not be null'),
    (array_ndims(check_user_ids.user_ids) > 1, 'must have one dimension'),
    (cardinality(check_user_ids.user_ids) > 100000, 'must have at most 100000 elements')
  ) a (is_bad, why)
  where a.is_bad;

  perform coupon.refuse_argument('user_ids', a.why)
  from (
    select 'must lie between 1 and 9007199254740991'
    from unnest(check_user_ids.user_ids) i (id)
    where i.id is null or i.id not between 1 and 9007199254740991
    union all
    select 'must not repeat: ' || min(i.id)
    from unnest(check_user_ids.user_ids) i (id)
    group by i.id having count(*) > 1
  ) a (why);
end
$$;

comment on function coupon.check_user_ids(bigint[]) is
  'Refuses ids of users that nobody can have, more than 100000, and an id given twice.';

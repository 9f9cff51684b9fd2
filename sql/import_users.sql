-- Makes users, or gives them another name: one row each, forgotten · created · updated · unchanged, in the
-- order given.
create or replace function public.import_users(
  user_ids bigint[],
  display_names text[],
  reason text default null,
  actor text default null
)
returns table (outcome public.import_users_outcome, user_id bigint)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.check_user_ids(import_users.user_ids);
  perform coupon.refuse_argument('display_names', a.why)
  from (values
    (import_users.display_names is null, 'must not be null'),
    (array_ndims(import_users.display_names) > 1, 'must have one dimension'),
    (cardinality(import_users.display_names) <> cardinality(import_users.user_ids), 'must have as many elements as user_ids')
  ) a (is_bad, why)
  where a.is_bad;
  perform coupon.refuse_argument('display_names', 'must have 1 to 200 characters each')
  from unnest(import_users.display_names) n (display_name)
  where n.display_name is null or length(n.display_name) not between 1 and 200;
  perform coupon.check_reason_and_actor(import_users.reason, import_users.actor);

  return query
  select w.outcome, w.user_id
  from coupon.write_users(
    import_users.user_ids, import_users.display_names, import_users.reason, import_users.actor) w;
end
$$;

comment on function public.import_users(bigint[], text[], text, text) is
  'Makes users, or gives them another name; at most 100000 a call, no id twice. One row a user in the order given:
forgotten (by forget_user(), and not made again), created, updated, unchanged. import_users(array[1, 2], array[''Ann'', ''Ben'']). All or nothing.
reason and actor (on whose behalf) go to the audit, a row a call.';

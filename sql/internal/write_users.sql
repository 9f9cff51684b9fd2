-- Writes users and the audit of it: the one body of import_users() and import_incoming_users(),
-- which have checked them. forgotten · created · updated · unchanged, a row for each user in the order given.
-- Rows are written by id, so that two imports can't deadlock. Nobody is forgotten meanwhile: forget_user() waits.
--
-- No nested loop: the plan may be older than the rows, and PostgreSQL before 18 takes an array for
-- ten elements. A million users joined with a million, row by row, would never end. So those who are forgotten are found by the
-- array: a join alone would read all of them.
create or replace function coupon.write_users(user_ids bigint[], display_names text[], reason text, actor text)
returns table (outcome public.import_users_outcome, user_id bigint)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_nestloop = off
set jit = off
as $$
begin
  lock table coupon.forgotten_users in share mode;

  return query
  with forgotten as (
    select f.user_id from coupon.forgotten_users f where f.user_id = any (write_users.user_ids)
  ), written as (
    insert into coupon.users as u (id, display_name)
    select i.id, i.display_name
    from unnest(write_users.user_ids, write_users.display_names) i (id, display_name)
    where not exists (select from forgotten f where f.user_id = i.id)
    order by i.id
    on conflict on constraint users_pkey do update
      set display_name = excluded.display_name
      where u.display_name <> excluded.display_name
    returning u.id, (u.xmax = 0) as is_new -- xmax is 0 in a row that no update has touched
  ), audited as (
    insert into coupon.audit (command, new_values, reason, actor)
    select
      'import_users',
      jsonb_build_object(
        'created', count(*) filter (where w.is_new), 'updated', count(*) filter (where not w.is_new)),
      write_users.reason, write_users.actor
    from written w
    having count(*) > 0
  )
  select
    case
      when f.user_id is not null then 'forgotten'
      when w.is_new then 'created'
      when w.id is not null then 'updated'
      else 'unchanged'
    end::public.import_users_outcome,
    i.id
  from unnest(write_users.user_ids) with ordinality i (id, place)
  left join written w on w.id = i.id
  left join forgotten f on f.user_id = i.id
  order by i.place;
  perform coupon.fence_replay(); -- who is unchanged, or forgotten, is told so of an earlier commit
end
$$;

comment on function coupon.write_users(bigint[], text[], text, text) is
  'Makes users, or gives them another name, but for those who are forgotten, and writes how many to the audit. The caller has checked
them: no null, no id twice.';

-- Puts users into a group: one row each, user_not_found · already_member · added, in the order given. Rows are written by
-- user, so that two calls can't deadlock. Nobody is forgotten meanwhile: forget_user() waits.
--
-- No nested loop, for the reason that write_users() gives. So users are found by the array: a join alone would read all of them.
create or replace function public.add_to_group(
  group_name text,
  user_ids bigint[],
  reason text default null,
  actor text default null
)
returns table (outcome public.add_to_group_outcome, user_id bigint)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_nestloop = off
set jit = off
as $$
begin
  perform coupon.check_members(add_to_group.group_name, add_to_group.user_ids);
  perform coupon.check_reason_and_actor(add_to_group.reason, add_to_group.actor);

  lock table coupon.forgotten_users in share mode;
  return query
  with written as (
    insert into coupon.group_members as m (group_name, user_id)
    select add_to_group.group_name, u.id
    from coupon.users u
    where u.id = any (add_to_group.user_ids)
    order by u.id
    on conflict on constraint group_members_pkey do nothing
    returning m.user_id
  ), audited as (
    insert into coupon.audit (command, new_values, reason, actor)
    select 'add_to_group', jsonb_build_object('group_name', add_to_group.group_name, 'added', count(*)),
      add_to_group.reason, add_to_group.actor
    from written w
    having count(*) > 0
  )
  select
    case
      when w.user_id is not null then 'added'
      when u.id is not null then 'already_member'
      else 'user_not_found'
    end::public.add_to_group_outcome,
    i.id
  from unnest(add_to_group.user_ids) with ordinality i (id, place)
  left join coupon.users u on u.id = i.id and u.id = any (add_to_group.user_ids)
  left join written w on w.user_id = i.id
  order by i.place;
  perform coupon.fence_replay(); -- who is a member already is told so of an earlier commit
end
$$;

comment on function public.add_to_group(text, bigint[], text, text) is
  'Puts users into a group, which is there from its first member on; at most 100000 a call, no id twice. A coupon may start
earlier for them: set_coupon_group(). One row a user in the order given: user_not_found, already_member, added. reason and
actor (on whose behalf) go to the audit, a row a call, with how many were added.';

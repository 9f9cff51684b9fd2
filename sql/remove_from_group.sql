-- Takes users out of a group: one row each, not_member · removed, in the order given. Takes the issuing lock: who is granted
-- as a member is one until the commit. Before that, it waits for forget_user(), which takes members out too.
--
-- No nested loop, for the reason that write_users() gives.
create or replace function public.remove_from_group(
  group_name text,
  user_ids bigint[],
  reason text default null,
  actor text default null
)
returns table (outcome public.remove_from_group_outcome, user_id bigint)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_nestloop = off
set jit = off
as $$
begin
  perform coupon.check_members(remove_from_group.group_name, remove_from_group.user_ids);
  perform coupon.check_reason_and_actor(remove_from_group.reason, remove_from_group.actor);

  lock table coupon.forgotten_users in share mode;
  perform coupon.lock_issuing(null);
  return query
  with gone as (
    delete from coupon.group_members m
    where m.group_name = remove_from_group.group_name and m.user_id = any (remove_from_group.user_ids)
    returning m.user_id
  ), audited as (
    insert into coupon.audit (command, new_values, reason, actor)
    select 'remove_from_group', jsonb_build_object('group_name', remove_from_group.group_name, 'removed', count(*)),
      remove_from_group.reason, remove_from_group.actor
    from gone g
    having count(*) > 0
  )
  select
    case when g.user_id is not null then 'removed' else 'not_member' end::public.remove_from_group_outcome,
    i.id
  from unnest(remove_from_group.user_ids) with ordinality i (id, place)
  left join gone g on g.user_id = i.id
  order by i.place;
  perform coupon.fence_replay(); -- who is no member any more is told so of an earlier commit
end
$$;

comment on function public.remove_from_group(text, bigint[], text, text) is
  'Takes users out of a group, which is gone with its last member; at most 100000 a call, no id twice. What they were issued
as members stays theirs. One row a user in the order given: not_member, removed. reason and actor (on whose behalf) go to
the audit, a row a call, with how many were removed.';

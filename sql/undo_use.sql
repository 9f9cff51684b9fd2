-- Takes a use back, and says in the audit who and why. coupon_not_found · not_issued · user_not_found · not_used ·
-- used_by_another · restored. Locks the grant's row.
create or replace function public.undo_use(
  user_id bigint,
  coupon_id bigint,
  reason text,
  actor text default null,
  only_own boolean default false,
  only_used_date timestamptz default null
)
returns table (outcome public.undo_use_outcome, used_date timestamptz, use_reference text)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_grant coupon.user_coupons;
begin
  perform coupon.refuse_argument(a.name, 'must not be null')
  from (values
    ('user_id', undo_use.user_id is null),
    ('coupon_id', undo_use.coupon_id is null)
  ) a (name, is_bad)
  where a.is_bad;
  perform coupon.check_undo(undo_use.reason, undo_use.actor, undo_use.only_own);

  select g.* into v_grant from coupon.user_coupons g
  where g.coupon_id = undo_use.coupon_id and g.user_id = undo_use.user_id
  for no key update;
  if not found then
    outcome := case
      when exists (select from coupon.coupons c where c.id = undo_use.coupon_id) then 'not_issued'
      else 'coupon_not_found' end;
    return next;
    return;
  end if;

  -- Read after the wait for the row, which retire_coupons() and forget_user() take too.
  if not exists (select from coupon.coupons c where c.id = undo_use.coupon_id) then
    outcome := 'coupon_not_found';
    return next;
    return;
  end if;
  if not exists (select from coupon.users u where u.id = undo_use.user_id) then
    outcome := 'user_not_found';
    return next;
    return;
  end if;

  -- A repeated undo, whose answer was lost, finds no use, or a later one that it does not mean.
  if v_grant.used_date is null or v_grant.used_date <> undo_use.only_used_date then
    perform coupon.fence_replay();
    outcome := 'not_used';
    return next;
    return;
  end if;

  if undo_use.only_own and not exists (
    select from coupon.audit a
    where a.user_id = undo_use.user_id and a.coupon_id = undo_use.coupon_id and a.used_date = v_grant.used_date
      and a.command = 'use_coupon' and a.actor = undo_use.actor)
  then
    outcome := 'used_by_another';
    return next;
    return;
  end if;

  perform coupon.commit_durably();
  insert into coupon.audit (command, coupon_id, user_id, used_date, old_values, reason, actor)
  values ('undo_use', undo_use.coupon_id, undo_use.user_id, v_grant.used_date,
    jsonb_build_object('use_reference', v_grant.use_reference), undo_use.reason, undo_use.actor);
  update coupon.user_coupons g
  set used_date = null, use_reference = null
  where g.coupon_id = undo_use.coupon_id and g.user_id = undo_use.user_id;
  outcome := 'restored';
  used_date := v_grant.used_date;
  use_reference := v_grant.use_reference;
  return next;
end
$$;

comment on function public.undo_use(bigint, bigint, text, text, boolean, timestamptz) is
  'Takes a use back, for a cancelled order say; reason (1 to 500 characters) and actor (on whose
behalf) go to the audit. With only_own, which takes an actor, it must be a use on behalf of the same one. With only_used_date,
the used_date that the use was answered with, it must be that use: so the same call again takes back no later one. Outcomes in
order: coupon_not_found, not_issued, user_not_found (the user is forgotten), not_used (or not by that use), used_by_another,
restored (with the use that was taken back).';

-- Uses a coupon, once. coupon_not_found · not_issued · user_not_found · already_used · expired · used. Locks the grant's
-- row.
create or replace function public.use_coupon(user_id bigint, coupon_id bigint, reference text, actor text default null)
returns table (outcome public.use_coupon_outcome, used_date timestamptz, use_reference text)
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
    ('user_id', use_coupon.user_id is null),
    ('coupon_id', use_coupon.coupon_id is null)
  ) a (name, is_bad)
  where a.is_bad;
  perform coupon.check_reference(use_coupon.reference);
  perform coupon.check_reason_and_actor(null, use_coupon.actor);

  select g.* into v_grant from coupon.user_coupons g
  where g.coupon_id = use_coupon.coupon_id and g.user_id = use_coupon.user_id;
  if not found then
    outcome := case
      when exists (select from coupon.coupons c where c.id = use_coupon.coupon_id) then 'not_issued'
      else 'coupon_not_found' end;
    return next;
    return;
  end if;

  if v_grant.used_date is null then
    select g.* into v_grant from coupon.user_coupons g
    where g.coupon_id = use_coupon.coupon_id and g.user_id = use_coupon.user_id
    for no key update;
  end if;

  -- Read after the wait for the row, which retire_coupons() and forget_user() take too.
  if not exists (select from coupon.coupons c where c.id = use_coupon.coupon_id) then
    outcome := 'coupon_not_found';
    return next;
    return;
  end if;
  if not exists (select from coupon.users u where u.id = use_coupon.user_id) then
    outcome := 'user_not_found';
    return next;
    return;
  end if;

  if v_grant.used_date is not null then
    perform coupon.fence_replay();
    outcome := case when v_grant.use_reference = use_coupon.reference then 'used' else 'already_used' end;
    used_date := v_grant.used_date;
    use_reference := v_grant.use_reference;
    return next;
    return;
  end if;

  -- Read the clock after the wait for the row. It may have been set back.
  used_date := greatest(clock_timestamp(), coupon.earliest_use(v_grant));
  if used_date >= v_grant.expiry then
    outcome := 'expired';
    used_date := null;
    return next;
    return;
  end if;

  use_reference := use_coupon.reference;
  perform coupon.commit_durably();
  update coupon.user_coupons g
  set used_date = use_coupon.used_date, use_reference = use_coupon.use_reference
  where g.coupon_id = use_coupon.coupon_id and g.user_id = use_coupon.user_id;
  insert into coupon.audit (command, coupon_id, user_id, used_date, new_values, actor)
  values ('use_coupon', use_coupon.coupon_id, use_coupon.user_id, use_coupon.used_date,
    jsonb_build_object('use_reference', use_coupon.use_reference), use_coupon.actor);
  outcome := 'used';
  return next;
end
$$;

comment on function public.use_coupon(bigint, bigint, text, text) is
  'The user uses the coupon, once, before its expiry; reference (1 to 200 characters) is the
caller''s own id of the use, an order number say. Outcomes in order: coupon_not_found, not_issued,
user_not_found (the user is forgotten), already_used (under another reference, which is told), expired, used. The same reference again is
answered used, with the first used_date; once undo_use() took the use back it is a new one. actor (1
to 250 characters) is on whose behalf, for the audit.';

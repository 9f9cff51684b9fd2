-- Stops issuing of a coupon, or lets it go on: the one body of pause_coupon() and resume_coupon().
-- True: it was changed; false: it was so already; null: there is no such coupon. Takes the issuing
-- lock.
create or replace function coupon.set_paused(coupon_id bigint, paused boolean, reason text, actor text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if set_paused.coupon_id is null then
    perform coupon.refuse_argument('coupon_id', 'must not be null');
  end if;
  perform coupon.check_reason_and_actor(set_paused.reason, set_paused.actor);

  perform coupon.outlive_leases(set_paused.coupon_id);
  perform coupon.lock_issuing(set_paused.coupon_id);
  update coupon.coupons c
  set paused = set_paused.paused
  where c.id = set_paused.coupon_id and c.paused <> set_paused.paused;
  if found then
    insert into coupon.audit (command, coupon_id, old_values, new_values, reason, actor)
    values (
      case when set_paused.paused then 'pause_coupon' else 'resume_coupon' end::coupon.audited_command,
      set_paused.coupon_id, jsonb_build_object('paused', not set_paused.paused),
      jsonb_build_object('paused', set_paused.paused), set_paused.reason, set_paused.actor);
    return true;
  end if;

  if exists (select from coupon.coupons c where c.id = set_paused.coupon_id) then
    perform coupon.fence_replay();
    return false;
  end if;
  return null;
end
$$;

comment on function coupon.set_paused(bigint, boolean, text, text) is
  'Pauses the coupon or resumes it, and writes that to the audit. True: changed; false: it was so already; null: no such
coupon.';

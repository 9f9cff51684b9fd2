-- Ends a token before its time. already_revoked · revoked. Takes the row of the key.
create or replace function public.revoke_key(key_id text, reason text default null, actor text default null)
returns table (outcome public.revoke_key_outcome, name text)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.check_key_id(revoke_key.key_id);
  perform coupon.check_reason_and_actor(revoke_key.reason, revoke_key.actor);

  perform coupon.commit_durably();
  insert into coupon.keys as k (id, revoked_at)
  values (revoke_key.key_id, clock_timestamp())
  on conflict on constraint keys_pkey do update
  set revoked_at = excluded.revoked_at
  where k.revoked_at is null
  returning k.name into name;
  if not found then
    outcome := 'already_revoked';
    select k.name into name from coupon.keys k where k.id = revoke_key.key_id;
    perform coupon.fence_replay();
    return next;
    return;
  end if;
  insert into coupon.audit (command, new_values, reason, actor)
  values ('revoke_key', jsonb_build_object('id', revoke_key.key_id), revoke_key.reason, revoke_key.actor);
  outcome := 'revoked';
  return next;
end
$$;

comment on function public.revoke_key(text, text, text) is
  'Ends a token of a service or an administrator before its time, for ever: within a minute no server takes it any more. Outcomes in
order: already_revoked, revoked. name says whose it is; null for one that was not recorded, since it was signed elsewhere, or its id was
mistyped. reason and actor (on whose behalf) go to the audit.';

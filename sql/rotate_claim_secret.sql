-- Makes a new secret, of which claim codes are made from here on. Codes of the one before it are found until it is retired.
-- older_in_use · rotated. Locks the secrets.
create or replace function public.rotate_claim_secret(reason text default null, actor text default null)
returns table (outcome public.rotate_claim_secret_outcome, secret_id integer)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.check_reason_and_actor(rotate_claim_secret.reason, rotate_claim_secret.actor);

  lock table coupon.claim_secrets in share row exclusive mode;
  select s.id into secret_id
  from coupon.claim_secrets s
  where s.key is not null and s.id < (select max(n.id) from coupon.claim_secrets n);
  if found then
    outcome := 'older_in_use';
    return next;
    return;
  end if;

  insert into coupon.claim_secrets (id)
  select coalesce(max(s.id), 0) + 1 from coupon.claim_secrets s
  returning id into secret_id;
  insert into coupon.audit (command, new_values, reason, actor)
  values ('rotate_claim_secret', jsonb_build_object('secret_id', secret_id), rotate_claim_secret.reason,
    rotate_claim_secret.actor);
  outcome := 'rotated';
  return next;
end
$$;

comment on function public.rotate_claim_secret(text, text) is
  'Makes a new secret: claim codes that are shown from here on are made of it, and those that were shown before are found
until retire_claim_secret(). reason and actor go to the audit. Outcomes in order: older_in_use (that one, of two, which must be
retired first), rotated (the new one).';

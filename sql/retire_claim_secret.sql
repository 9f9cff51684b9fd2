-- Ends the claim codes of a secret, and forgets it. secret_not_found · already_retired · newest · retired. Locks the secrets.
create or replace function public.retire_claim_secret(
  secret_id integer,
  reason text default null,
  actor text default null
)
returns table (outcome public.retire_claim_secret_outcome)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_secret coupon.claim_secrets;
begin
  if retire_claim_secret.secret_id is null then
    perform coupon.refuse_argument('secret_id', 'must not be null');
  end if;
  perform coupon.check_reason_and_actor(retire_claim_secret.reason, retire_claim_secret.actor);

  lock table coupon.claim_secrets in share row exclusive mode;
  select s.* into v_secret from coupon.claim_secrets s where s.id = retire_claim_secret.secret_id;
  outcome := case
    when v_secret.id is null then 'secret_not_found'
    when v_secret.retired_at is not null then 'already_retired'
    when v_secret.id = (select max(s.id) from coupon.claim_secrets s) then 'newest'
    else 'retired' end;
  if outcome = 'retired' then
    update coupon.claim_secrets s
    set key = null, retired_at = clock_timestamp()
    where s.id = retire_claim_secret.secret_id;
    insert into coupon.audit (command, new_values, reason, actor)
    values ('retire_claim_secret', jsonb_build_object('secret_id', retire_claim_secret.secret_id),
      retire_claim_secret.reason, retire_claim_secret.actor);
  elsif outcome = 'already_retired' then
    perform coupon.fence_replay();
  end if;
  return next;
end
$$;

comment on function public.retire_claim_secret(integer, text, text) is
  'Ends the codes of a secret of claim_secrets(): they are not found from here on, and nobody can make them any more. Users see
their new ones in their wallets. reason and actor go to the audit. Outcomes in order: secret_not_found, already_retired,
newest (rotate_claim_secret() first), retired.';

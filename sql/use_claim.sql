-- Uses the coupon of a claim code, once: use_coupon() for a till, which knows neither user nor coupon. claim_not_found ·
-- already_used · expired · used. Locks the grant's row.
--
-- Tills number their slips alike, and two of them may be shown the same code. So a replay is only told to who made the use.
create or replace function public.use_claim(claim_code text, reference text, actor text default null)
returns table (
  outcome public.use_claim_outcome,
  used_date timestamptz,
  use_reference text,
  coupon_id bigint,
  code text,
  message text,
  "position" integer,
  user_id bigint,
  display_name text
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_grant coupon.user_coupons;
  v_told record;
begin
  perform coupon.check_claim_code(use_claim.claim_code);
  perform coupon.check_reference(use_claim.reference);
  perform coupon.check_reason_and_actor(null, use_claim.actor);

  v_grant := coupon.find_claim(use_claim.claim_code);
  if v_grant.coupon_id is null then
    outcome := 'claim_not_found';
    return next;
    return;
  end if;

  select u.* into v_told
  from public.use_coupon(v_grant.user_id, v_grant.coupon_id, use_claim.reference, use_claim.actor) u;
  if v_told.outcome = 'used' and use_claim.actor is not null and not exists (
    select from coupon.audit a
    where a.user_id = v_grant.user_id and a.coupon_id = v_grant.coupon_id and a.used_date = v_told.used_date
      and a.command = 'use_coupon' and a.actor = use_claim.actor)
  then
    v_told.outcome := 'already_used';
  end if;
  -- In a statement of its own, so that the name is that of after a wait for the grant. Of who is forgotten, and of a coupon
  -- that is retired, nothing is told.
  return query
  select
    regexp_replace(v_told.outcome::text, '^(coupon|user)_not_found$', 'claim_not_found')::public.use_claim_outcome,
    v_told.used_date, v_told.use_reference, c.id, c.code, c.message, case when h.id is not null then v_grant.position end, h.id,
    h.display_name
  from (values (true)) one
  left join coupon.users h on h.id = v_grant.user_id and v_told.outcome not in ('coupon_not_found', 'user_not_found')
  left join coupon.coupons c on c.id = v_grant.coupon_id and h.id is not null;
end
$$;

comment on function public.use_claim(text, text, text) is
  'Uses the coupon of the grant with this claim code (1 to 200 characters, read as a person says it: case, hyphens and spaces
do not matter), once, before its expiry; reference and actor as in use_coupon(). Outcomes in order: claim_not_found,
already_used (under another reference, which is told, or on behalf of another actor), expired, used. What is found is told:
which coupon, and whose. A user who is forgotten is not found. The same reference of the same actor again is answered used,
with the first used_date.';

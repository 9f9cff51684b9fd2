-- Takes back the use of a claim code's coupon: undo_use() for a till. claim_not_found · not_used · used_by_another ·
-- restored. Locks the grant's row.
create or replace function public.undo_claim(
  claim_code text,
  reason text,
  actor text default null,
  only_own boolean default false,
  only_used_date timestamptz default null
)
returns table (
  outcome public.undo_claim_outcome,
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
  perform coupon.check_claim_code(undo_claim.claim_code);
  perform coupon.check_undo(undo_claim.reason, undo_claim.actor, undo_claim.only_own);

  v_grant := coupon.find_claim(undo_claim.claim_code);
  if v_grant.coupon_id is null then
    outcome := 'claim_not_found';
    return next;
    return;
  end if;

  select u.* into v_told
  from public.undo_use(
    v_grant.user_id, v_grant.coupon_id, undo_claim.reason, undo_claim.actor, undo_claim.only_own,
    undo_claim.only_used_date) u;
  -- In a statement of its own, so that the name is that of after a wait for the grant. Of who is forgotten, and of a coupon
  -- that is retired, nothing is told.
  return query
  select
    regexp_replace(v_told.outcome::text, '^(coupon|user)_not_found$', 'claim_not_found')::public.undo_claim_outcome,
    v_told.used_date, v_told.use_reference, c.id, c.code, c.message, case when h.id is not null then v_grant.position end, h.id,
    h.display_name
  from (values (true)) one
  left join coupon.users h on h.id = v_grant.user_id and v_told.outcome not in ('coupon_not_found', 'user_not_found')
  left join coupon.coupons c on c.id = v_grant.coupon_id and h.id is not null;
end
$$;

comment on function public.undo_claim(text, text, text, boolean, timestamptz) is
  'Takes back the use of the coupon of the grant with this claim code; reason, actor, only_own and only_used_date as in
undo_use(). Outcomes in order: claim_not_found, not_used, used_by_another, restored (with the use that was taken back). What is
found is told: which coupon, and whose.';

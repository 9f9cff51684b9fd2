-- Corrects what a coupon is called and what it says; what is null stays. coupon_not_found · unchanged · already_started ·
-- code_taken · changed. For a new code it locks the settings' row, as create_coupon() does: nobody takes the code meanwhile.
-- Then it locks the coupon's row: a batch of that coupon waits for the commit, and keeps the issuing lock. No lease says
-- anything of what changes here.
create or replace function public.edit_coupon(
  coupon_id bigint,
  code text default null,
  message text default null,
  description text default null,
  metadata jsonb default null,
  reason text default null,
  actor text default null
)
returns table (outcome public.edit_coupon_outcome, taken_by bigint)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_coupon coupon.coupons;
  v_old jsonb;
  v_new jsonb;
begin
  if edit_coupon.coupon_id is null then
    perform coupon.refuse_argument('coupon_id', 'must not be null');
  end if;
  perform coupon.check_texts(edit_coupon.code, edit_coupon.message, edit_coupon.description, edit_coupon.metadata);
  perform coupon.check_reason_and_actor(edit_coupon.reason, edit_coupon.actor);

  if edit_coupon.code is not null then
    perform from coupon.settings s for no key update;
  end if;
  select c.* into v_coupon from coupon.coupons c where c.id = edit_coupon.coupon_id for no key update;
  if not found then
    outcome := 'coupon_not_found';
    return next;
    return;
  end if;

  select jsonb_object_agg(v.name, v.old), jsonb_object_agg(v.name, v.new)
  into v_old, v_new
  from (values
    ('code', to_jsonb(v_coupon.code), to_jsonb(edit_coupon.code)),
    ('message', to_jsonb(v_coupon.message), to_jsonb(edit_coupon.message)),
    ('description', to_jsonb(v_coupon.description), to_jsonb(edit_coupon.description)),
    ('metadata', v_coupon.metadata, edit_coupon.metadata)
  ) v (name, old, new)
  where v.old <> v.new;
  if v_new ? 'code' then
    select c.id into taken_by from coupon.coupons c
    where lower(c.code) = lower(edit_coupon.code collate "C") and c.id <> edit_coupon.coupon_id;
  end if;
  outcome := case
    when v_new is null then 'unchanged'
    when v_new ? 'code' and (v_coupon.issued > 0 or coupon.first_start(v_coupon) <= clock_timestamp()) then 'already_started'
    when taken_by is not null then 'code_taken'
    else 'changed' end;
  taken_by := case when outcome = 'code_taken' then taken_by end;
  if outcome = 'changed' then
    update coupon.coupons c
    set code = coalesce(edit_coupon.code, c.code), message = coalesce(edit_coupon.message, c.message),
      description = coalesce(edit_coupon.description, c.description),
      metadata = coalesce(edit_coupon.metadata, c.metadata)
    where c.id = edit_coupon.coupon_id;
    insert into coupon.audit (command, coupon_id, old_values, new_values, reason, actor)
    values ('edit_coupon', edit_coupon.coupon_id, v_old, v_new, edit_coupon.reason, edit_coupon.actor);
  elsif outcome = 'unchanged' then
    perform coupon.fence_replay();
  end if;
  return next;
end
$$;

comment on function public.edit_coupon(bigint, text, text, text, jsonb, text, text) is
  'Corrects the coupon''s code, message, description and metadata; what is null stays as it is, and metadata is replaced as a
whole. The code can change until somebody can have it (start_time, of a group eligible_from), the others at any time. Outcomes in order: coupon_not_found, unchanged,
already_started (a new code, and nothing was changed), code_taken (by the coupon taken_by), changed. reason and actor (on
whose behalf) go to the audit.';

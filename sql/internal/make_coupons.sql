-- Makes these coupons, each by create_coupon(), and says of each what became of it: the one body of fill_days(), preview_days()
-- and copy_day(). A preview (keep is false) does the same and undoes it. So it says what filling would, and takes ids that no
-- coupon gets.
create or replace function coupon.make_coupons(drafts public.planned_coupon[], keep boolean, reason text, actor text)
returns setof public.planned_coupon
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_draft public.planned_coupon;
  v_created record;
  v_made bigint[] := '{}';
begin
  foreach v_draft in array make_coupons.drafts loop
    v_draft.outcome := case
      when v_draft.outcome is not null then v_draft.outcome
      when v_draft.start_time <= clock_timestamp() then 'in_the_past'
      when v_draft.expiry <= v_draft.start_time then 'not_after_start'
      when length(v_draft.code) > 64 then 'code_too_long' end;
    if v_draft.outcome is null then
      select c.* into v_created
      from public.create_coupon(v_draft.code, v_draft.message, v_draft.description, v_draft.start_time, v_draft.expiry,
        v_draft.count, v_draft.metadata, make_coupons.reason, make_coupons.actor) c;
      v_draft.outcome := case v_created.outcome
        when 'already_created' then 'already_made'
        when 'already_withdrawn' then 'already_made'
        when 'created' then 'made'
        else v_created.outcome::text end;
      v_draft.warning := v_created.warning;
      if v_draft.outcome = 'already_made' then
        select c.code, c.message, c.description, c.start_time, c.expiry, c.count, c.metadata
        into v_draft.code, v_draft.message, v_draft.description, v_draft.start_time, v_draft.expiry, v_draft.count,
          v_draft.metadata
        from coupon.coupons c
        where c.id = v_created.coupon_id;
      end if;
      if v_created.outcome = 'created' then
        v_made := v_made || v_created.coupon_id;
      end if;
      -- What a preview made is not there any more.
      if make_coupons.keep or v_created.coupon_id <> all (v_made) then
        if v_draft.outcome in ('made', 'already_made') then
          v_draft.coupon_id := v_created.coupon_id;
        else
          v_draft.taken_by := v_created.coupon_id;
        end if;
      end if;
    end if;
    return next v_draft;
  end loop;
  if not make_coupons.keep then
    raise exception 'a preview' using errcode = 'CD001';
  end if;
exception
  when sqlstate 'CD001' then
    return; -- with the rows: those are kept
end
$$;

comment on function coupon.make_coupons(public.planned_coupon[], boolean, text, text) is
  'Makes the coupons that have no outcome yet, in this order, and gives each its outcome; unless keep, all is undone then.';

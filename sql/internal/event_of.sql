-- Which event a row of the audit is; null: none. PostgreSQL inlines it, as it does coupon.event_id().
create or replace function coupon.event_of(entry coupon.audit)
returns public.event_type
language sql
stable
return case entry.command
  when 'create_coupon' then 'created'
  when 'edit_coupon' then 'edited'
  when 'set_coupon_start' then 'edited'
  when 'set_coupon_group' then 'edited'
  when 'set_coupon_expiry' then 'edited'
  when 'set_coupon_count' then case entry.issued
    when (entry.new_values->>'count')::integer then 'sold_out'
    when (entry.old_values->>'count')::integer then 'restocked'
    else 'edited' end
  when 'pause_coupon' then 'paused'
  when 'resume_coupon' then 'resumed'
  when 'withdraw_coupon' then 'withdrawn'
  when 'retire_coupons' then 'retired'
  when 'use_coupon' then 'used'
  when 'undo_use' then 'undone'
  when 'disable_webhook' then 'webhook_disabled'
end::public.event_type;

comment on function coupon.event_of(coupon.audit) is
  'The event that this row of the audit is; null: none.';

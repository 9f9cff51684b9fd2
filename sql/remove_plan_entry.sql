-- Takes an entry out of the plan. not_planned · removed. Locks the settings' row, as set_plan_entry() does.
create or replace function public.remove_plan_entry(
  weekday integer,
  slot integer,
  reason text default null,
  actor text default null
)
returns table (outcome public.remove_plan_entry_outcome)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_old coupon.plan;
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('weekday', remove_plan_entry.weekday is null, 'must not be null'),
    ('slot', remove_plan_entry.slot is null, 'must not be null'),
    ('weekday', remove_plan_entry.weekday not between 1 and 7, 'must lie between 1 (Monday) and 7 (Sunday)'),
    ('slot', remove_plan_entry.slot not between 1 and 3, 'must lie between 1 and 3')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.check_reason_and_actor(remove_plan_entry.reason, remove_plan_entry.actor);

  perform from coupon.settings s for no key update;
  delete from coupon.plan p
  where p.weekday = remove_plan_entry.weekday and p.slot = remove_plan_entry.slot
  returning p.* into v_old;
  if found then
    outcome := 'removed';
    insert into coupon.audit (command, old_values, reason, actor)
    values ('remove_plan_entry', to_jsonb(v_old), remove_plan_entry.reason, remove_plan_entry.actor);
  else
    outcome := 'not_planned';
    perform coupon.fence_replay();
  end if;
  return next;
end
$$;

comment on function public.remove_plan_entry(integer, integer, text, text) is
  'Takes an entry out of the plan: no coupon is made from it any more, and those that were made stay. Outcomes in order:
not_planned, removed. reason and actor (on whose behalf) go to the audit.';

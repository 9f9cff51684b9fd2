-- Asserts why a use is taken back, and by whom.
create or replace function coupon.check_undo(reason text, actor text, only_own boolean)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.refuse_argument(a.name, 'must not be null')
  from (values
    ('reason', check_undo.reason is null),
    ('only_own', check_undo.only_own is null),
    ('actor', check_undo.only_own and check_undo.actor is null)
  ) a (name, is_bad)
  where a.is_bad;
  perform coupon.check_reason_and_actor(check_undo.reason, check_undo.actor);
end
$$;

comment on function coupon.check_undo(text, text, boolean) is
  'Refuses to take a use back without a reason, and only the own ones of nobody.';

-- Asserts what a command writes to the audit besides what it did. Either may be null.
create or replace function coupon.check_reason_and_actor(reason text, actor text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if length(check_reason_and_actor.reason) not between 1 and 500 then
    perform coupon.refuse_argument('reason', 'must have 1 to 500 characters');
  elsif length(check_reason_and_actor.actor) not between 1 and 250 then
    perform coupon.refuse_argument('actor', 'must have 1 to 250 characters');
  end if;
end
$$;

comment on function coupon.check_reason_and_actor(text, text) is
  'Refuses a reason or an actor that does not fit into the audit; a null fits.';

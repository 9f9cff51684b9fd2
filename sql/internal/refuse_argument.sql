-- Raises the error of a bad argument, one wording for all functions: 22004 for a null, 22023 for anything else.
create or replace function coupon.refuse_argument(argument text, why text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception '% %', argument, why
    using
      errcode = case why when 'must not be null' then '22004' else '22023' end,
      column = argument,
      hint = 'See \df+ for what the function takes.';
end
$$;

comment on function coupon.refuse_argument(text, text) is
  'Raises 22004 or 22023 with the argument''s name as column: the caller''s mistake, nothing was done.';

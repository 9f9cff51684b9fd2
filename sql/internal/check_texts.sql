-- Asserts what a coupon is called and what it says. A null is the caller's to judge.
create or replace function coupon.check_texts(code text, message text, description text, metadata jsonb)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('code', check_texts.code !~ '^[A-Za-z0-9_-]{1,64}$', 'must be 1 to 64 letters, digits, - or _'),
    ('message', length(check_texts.message) not between 1 and 200, 'must have 1 to 200 characters'),
    ('description', length(check_texts.description) > 2000, 'must have at most 2000 characters'),
    ('metadata', jsonb_typeof(check_texts.metadata) <> 'object', 'must be a JSON object'),
    ('metadata', length(check_texts.metadata::text) > 4096, 'must have at most 4096 characters'),
    ('metadata', check_texts.metadata @? 'strict $.**{5 to last} ? (@.type() == "object" || @.type() == "array")', 'must be at most 5 levels deep')
  ) a (name, is_bad, why)
  where a.is_bad;
end
$$;

comment on function coupon.check_texts(text, text, text, jsonb) is
  'Refuses a code, a message, a description or metadata that no coupon can have; a null fits.';

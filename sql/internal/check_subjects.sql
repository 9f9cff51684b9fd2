-- Asserts an issuer and its subjects that are given to one call.
create or replace function coupon.check_subjects(issuer text, subjects text[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('issuer', check_subjects.issuer is null, 'must not be null'),
    ('issuer', length(check_subjects.issuer) not between 1 and 200, 'must have 1 to 200 characters'),
    ('subjects', check_subjects.subjects is null, 'must not be null'),
    ('subjects', array_ndims(check_subjects.subjects) > 1, 'must have one dimension'),
    ('subjects', cardinality(check_subjects.subjects) > 10000, 'must have at most 10000 elements')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.refuse_argument('subjects', 'must have 1 to 200 characters each')
  from unnest(check_subjects.subjects) s (subject)
  where s.subject is null or length(s.subject) not between 1 and 200;
end
$$;

comment on function coupon.check_subjects(text, text[]) is
  'Refuses an issuer or a subject that no token has, and more than 10000 subjects.';

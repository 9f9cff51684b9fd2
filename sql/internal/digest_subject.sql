-- A subject and its issuer as 32 bytes: the length of the one says where the other begins.
create or replace function coupon.digest_subject(issuer text, subject text)
returns bytea
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select sha256(convert_to(length(digest_subject.issuer) || ':' || digest_subject.issuer || digest_subject.subject, 'UTF8'))
$$;

comment on function coupon.digest_subject(text, text) is
  'SHA-256 of a subject and its issuer: what is kept for two days of a subject that was forgotten.';

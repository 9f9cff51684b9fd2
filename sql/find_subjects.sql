-- Which subject is which user: those of a user, or those of this name, at one issuer or at any.
--
-- Planned for each call, so that each of these is a range of a key.
create or replace function public.find_subjects(
  user_id bigint default null,
  subject text default null,
  issuer text default null
)
returns setof coupon.subjects
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_custom_plan
as $$
begin
  if find_subjects.user_id is null and find_subjects.subject is null then
    perform coupon.refuse_argument('subject', 'must be given, or user_id');
  end if;

  return query
  select s.*
  from coupon.subjects s
  where (find_subjects.user_id is null or s.user_id = find_subjects.user_id)
    and (find_subjects.subject is null or s.subject = find_subjects.subject)
    and (find_subjects.issuer is null or s.issuer = find_subjects.issuer)
  order by s.subject, s.issuer;
end
$$;

comment on function public.find_subjects(bigint, text, text) is
  'Which subject of an identity provider is which user: find_subjects(subject => ''auth0|656f1a2b''), find_subjects(user_id =>
6203871946502117). With issuer, of that provider alone.';

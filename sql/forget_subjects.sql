-- Ends what is kept of subjects that were forgotten two days ago. Takes no lock that issuing takes.
create or replace function public.forget_subjects()
returns integer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_count integer;
begin
  delete from coupon.forgotten_subjects f
  where f.digest = any (array(
    select o.digest
    from coupon.forgotten_subjects o
    where o.forgotten_at < clock_timestamp() - interval '2 days'
    for update skip locked));
  get diagnostics v_count = row_count;
  return v_count;
end
$$;

comment on function public.forget_subjects() is
  'Deletes the digests of subjects whom forget_user() removed two days ago or more, and answers how many. From then on such a
subject is nobody, and may become a new user. Each server calls it every minute, and any scheduler may.';

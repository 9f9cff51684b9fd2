-- Who the subjects of an issuer are: a row each, known · forgotten · unknown · created, in the order given. Where nobody is
-- created, it takes no lock and writes nothing. Otherwise rows are written by subject, so that two calls can't deadlock, and nobody
-- is forgotten meanwhile: forget_user() waits.
--
-- The key of coupon.subjects decides a race: whoever inserts second waits for the first, and is told its number.
--
-- No nested loop: PostgreSQL takes what a statement has just written for a few rows, and would join a batch with itself row by
-- row. Whether somebody is known is asked by scalar subqueries, which stay a look in an index each.
create or replace function public.resolve_subjects(
  issuer text,
  subjects text[],
  display_names text[] default null,
  creating boolean default false
)
returns table (outcome public.resolve_subjects_outcome, user_id bigint)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_nestloop = off
set jit = off
as $$
declare
  v_user_ids bigint[];
  v_are_forgotten boolean[];
  v_locked boolean := false;
  v_created jsonb := '{}';
begin
  perform coupon.check_subjects(resolve_subjects.issuer, resolve_subjects.subjects);
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('creating', resolve_subjects.creating is null, 'must not be null'),
    ('display_names', array_ndims(resolve_subjects.display_names) > 1, 'must have one dimension'),
    ('display_names', cardinality(resolve_subjects.display_names) <> cardinality(resolve_subjects.subjects),
      'must have as many elements as subjects')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.refuse_argument('display_names', 'must have 1 to 200 characters each, or be null')
  from unnest(resolve_subjects.display_names) n (display_name)
  where length(n.display_name) not between 1 and 200;

  -- Mostly everybody is known at once. Else it is asked again under the lock, and once more when they are created.
  loop
    select
      array_agg(coalesce(r.known, r.forgotten) order by r.place), array_agg(r.forgotten is not null order by r.place)
    into v_user_ids, v_are_forgotten
    from (
      select k.place, k.known,
        case when k.known is null then (
          select f.user_id from coupon.forgotten_subjects f
          where f.digest = coupon.digest_subject(resolve_subjects.issuer, k.subject)) end as forgotten
      from (
        select i.subject, i.place,
          (select s.user_id from coupon.subjects s where s.subject = i.subject and s.issuer = resolve_subjects.issuer) as known
        from unnest(resolve_subjects.subjects) with ordinality i (subject, place)
        offset 0 -- looks each of them up once
      ) k
      offset 0
    ) r;
    exit when not resolve_subjects.creating or array_position(v_user_ids, null) is null;

    if not v_locked then
      perform coupon.commit_durably();
      lock table coupon.forgotten_users in share mode;
      v_locked := true;
      continue;
    end if;
    with asked as materialized (
      select distinct on (i.subject) i.subject, i.display_name
      from unnest(resolve_subjects.subjects, resolve_subjects.display_names, v_user_ids) i (subject, display_name, user_id)
      where i.user_id is null
      order by i.subject
    ), seen as (
      insert into coupon.subjects as s (subject, issuer, user_id)
      select a.subject, resolve_subjects.issuer, coupon.next_user_id()
      from asked a
      order by a.subject
      on conflict on constraint subjects_pkey do nothing
      returning s.subject, s.user_id
    ), made as (
      insert into coupon.users (id, display_name)
      select s.user_id, coalesce(a.display_name, 'User ' || s.user_id)
      from seen s
      join asked a on a.subject = s.subject
      order by s.user_id
    )
    select v_created || coalesce(jsonb_object_agg(s.subject, true), '{}') into v_created from seen s;
  end loop;

  return query
  select
    case
      when v_created ? r.subject then 'created'
      when r.is_forgotten then 'forgotten'
      when r.user_id is not null then 'known'
      else 'unknown'
    end::public.resolve_subjects_outcome,
    r.user_id
  from unnest(resolve_subjects.subjects, v_user_ids, v_are_forgotten) with ordinality r (subject, user_id, is_forgotten, place)
  order by r.place;
end
$$;

comment on function public.resolve_subjects(text, text[], text[], boolean) is
  'Who the subjects of an identity provider are, at most 10000 a call. One row a subject in the order given: known, forgotten,
unknown, created, with the user_id (null for unknown). With creating, a subject that is seen for the first time becomes a new
user, once, whoever else asks at the same time; its number is drawn from 2^52 on, its name that of display_names, or else
"User <number>". resolve_subjects(''https://id.example/'', array[''auth0|656f1a2b''], array[''Ann''], creating => true).';

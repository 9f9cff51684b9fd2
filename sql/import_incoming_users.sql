-- Imports the rows that this transaction copied into coupon.incoming_users, and deletes them there.
-- One row each, in the file's order: invalid · forgotten · created · updated · unchanged.
create or replace function public.import_incoming_users(reason text default null, actor text default null)
returns table (outcome public.import_incoming_users_outcome, line bigint, user_id bigint, detail text)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
-- The plan may be older than the rows: a million joined with a million, row by row, would never end.
set enable_nestloop = off
set jit = off
as $$
begin
  perform coupon.check_reason_and_actor(import_incoming_users.reason, import_incoming_users.actor);

  if not exists (select from coupon.incoming_users i where i.copied_by = pg_current_xact_id()) then
    raise exception 'nothing was copied in this transaction'
      using errcode = 'object_not_in_prerequisite_state',
        hint = 'Copy and import in one: begin; \copy coupon.incoming_users …; select … import_incoming_users(); commit;';
  end if;

  perform coupon.clear_incoming_users();

  return query
  with taken as (
    delete from coupon.incoming_users i
    where i.copied_by = pg_current_xact_id()
    returning i.line, i.user_id, i.display_name
  ), read as (
    select
      row_number() over (order by t.line) as line,
      case when t.user_id ~ '^[1-9][0-9]{0,15}$' and t.user_id::bigint <= 9007199254740991
        then t.user_id::bigint end as user_id,
      t.display_name
    from taken t
  ), judged as (
    select
      r.line, r.user_id, r.display_name,
      case
        when r.user_id is null then 'user_id: must be a whole number from 1 to 9007199254740991'
        when coalesce(r.display_name, '') = '' then 'display_name: must not be empty'
        when length(r.display_name) > 200 then 'display_name: must have at most 200 characters'
      end as detail
    from read r
  ), checked as (
    -- Of those that are right (detail is null) the first with an id counts.
    select
      j.line, j.user_id, j.display_name,
      coalesce(j.detail, 'user_id: repeats line ' || nullif(
        min(j.line) over (partition by j.user_id, j.detail), j.line)) as detail
    from judged j
  )
  select
    coalesce(w.outcome::text, 'invalid')::public.import_incoming_users_outcome,
    c.line, c.user_id, c.detail
  from checked c
  left join coupon.write_users(
    (select array_agg(v.user_id order by v.line) from checked v where v.detail is null),
    (select array_agg(v.display_name order by v.line) from checked v where v.detail is null),
    import_incoming_users.reason, import_incoming_users.actor) w
    on c.detail is null and w.user_id = c.user_id
  order by c.line;
end
$$;

comment on function public.import_incoming_users(text, text) is
  'Imports what this transaction has \copied into coupon.incoming_users (user_id, display_name), as
import_users() would, and empties it; 55000 if that is nothing. One row a line, 1 is the first after the header: invalid (with
a detail: not imported, the others are), forgotten, created, updated, unchanged. An id that comes twice counts
where it is first right. The same file again changes nothing. reason and actor (on whose behalf) go
to the audit, a row a call.';

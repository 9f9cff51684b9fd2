-- Notes a token that was signed. already_recorded · recorded. Takes no lock.
create or replace function public.record_key(
  key_id text,
  name text,
  scope text,
  expires_at timestamptz,
  reason text default null,
  actor text default null
)
returns table (outcome public.record_key_outcome)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.check_key_id(record_key.key_id);
  perform coupon.refuse_argument(a.name, a.why)
  from (values
    ('name', record_key.name is null, 'must not be null'),
    ('name', length(record_key.name) not between 1 and 200, 'must have 1 to 200 characters'),
    ('scope', record_key.scope !~ '^(issue|read|use)( (issue|read|use))*$', 'must be null, or words of issue, read, use'),
    ('expires_at', record_key.expires_at is null, 'must not be null'),
    ('expires_at', not isfinite(record_key.expires_at), 'must be a date'),
    -- A revocation is told until the end: one that is too early would let it lapse.
    ('expires_at', record_key.expires_at <= clock_timestamp(), 'must be later than now')
  ) a (name, is_bad, why)
  where a.is_bad;
  perform coupon.check_reason_and_actor(record_key.reason, record_key.actor);

  perform coupon.commit_durably();
  insert into coupon.keys (id, name, scope, expires_at)
  values (record_key.key_id, record_key.name, record_key.scope, record_key.expires_at)
  on conflict on constraint keys_pkey do nothing;
  if not found then
    outcome := 'already_recorded';
    perform coupon.fence_replay();
    return next;
    return;
  end if;
  insert into coupon.audit (command, new_values, reason, actor)
  values ('record_key',
    jsonb_build_object('id', record_key.key_id, 'name', record_key.name, 'scope', record_key.scope),
    record_key.reason, record_key.actor);
  outcome := 'recorded';
  return next;
end
$$;

comment on function public.record_key(text, text, text, timestamptz, text, text) is
  'Notes a token that was signed, so that it is listed: its id (jti), whose it is, what it may do (scope; null: all that its role
may), and until when. Outcomes in order: already_recorded, recorded. A token is good without it, and is never stored itself. reason and
actor (on whose behalf) go to the audit.';

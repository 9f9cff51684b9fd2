-- migrate:up

-- Narrow keys: tokens of services that may be listed and revoked. What is stored is the id of a token, never the token.

create type public.record_key_outcome as enum
  ('already_recorded', 'recorded');
comment on type public.record_key_outcome is
  'already_recorded: the id is taken · recorded.';

create type public.revoke_key_outcome as enum
  ('already_revoked', 'revoked');
comment on type public.revoke_key_outcome is
  'already_revoked · revoked: within a minute no server takes it any more, also where it was never recorded.';

create table coupon.keys (
  id text collate "C",
  name text,
  scope text,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz,
  revoked_at timestamptz,
  constraint keys_pkey primary key (id),
  constraint keys_id_fits check (length(id) between 1 and 500),
  constraint keys_name_fits check (length(name) between 1 and 200),
  constraint keys_scope_is_known check (scope ~ '^(issue|read|use)( (issue|read|use))*$'),
  constraint keys_have_a_name_or_are_revoked check (name is not null or revoked_at is not null)
);
create index keys_that_are_revoked on coupon.keys (revoked_at) where revoked_at is not null;
comment on table coupon.keys is
  'Tokens of services and administrators that can be revoked: those that ./sd token signed with a name, and those of others that were
revoked by their id. A token is good by its signature alone: no row is needed for that.';
comment on column coupon.keys.id is
  'jti of the token; of an identity provider''s token "<jti> of <issuer>".';
comment on column coupon.keys.name is
  'Who has it, as its sub says. Null: it was signed elsewhere, and all that is known of it is that it is revoked.';
comment on column coupon.keys.scope is
  'What it may do, as its scope says: use, issue, read, or some of them. Null: whatever its role may.';
comment on column coupon.keys.created_at is
  'When it was recorded, by the database clock.';
comment on column coupon.keys.expires_at is
  'exp of the token; null where it is not known.';
comment on column coupon.keys.revoked_at is
  'Since when it is not good any more; null: it is. It is never taken back.';
comment on index coupon.keys_that_are_revoked is
  'For revoked_keys(), which each server asks several times a minute.';

create function coupon.check_key_change() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if old.revoked_at is null and new.revoked_at is not null
    and row(new.id, new.name, new.scope, new.created_at, new.expires_at)
      is not distinct from row(old.id, old.name, old.scope, old.created_at, old.expires_at)
  then
    return new;
  end if;
  raise exception 'key % can only be revoked, once', old.id
    using errcode = 'check_violation', schema = 'coupon', table = 'keys', constraint = 'keys_are_only_revoked',
      hint = 'Call revoke_key(key_id).';
end
$$;
comment on function coupon.check_key_change() is
  'For any update of a key: it is revoked, once, and nothing else of it changes.';

create trigger keys_are_only_revoked
  before update on coupon.keys
  for each row
  execute function coupon.check_key_change();

create trigger keys_stay
  before delete on coupon.keys
  for each statement
  execute function coupon.refuse_change(
    'keys_stay', 'a key that is gone could not be revoked');

create trigger keys_stay_truncate
  before truncate on coupon.keys
  for each statement
  execute function coupon.refuse_change(
    'keys_stay', 'a key that is gone could not be revoked');

-- migrate:down

drop table coupon.keys;
drop function coupon.check_key_change();
drop type public.revoke_key_outcome;
drop type public.record_key_outcome;

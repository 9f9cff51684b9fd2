-- migrate:up

-- What claim codes are made of: a secret is used, then kept for old codes, then retired.

create table coupon.claim_secrets (
  id integer,
  key bytea default sha256(
    uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
  created_at timestamptz not null default clock_timestamp(),
  retired_at timestamptz,
  constraint claim_secrets_pkey primary key (id),
  constraint claim_secrets_id_from_1 check (id >= 1),
  constraint claim_secrets_key_has_32_bytes check (length(key) = 32),
  constraint claim_secrets_key_until_retired check ((key is null) = (retired_at is not null))
);
create unique index claim_secrets_two_at_once on coupon.claim_secrets ((id % 2)) where key is not null;

comment on table coupon.claim_secrets is
  'What claim codes are made of and read by: claim_code(), find_claim(). Nobody but coupon_owner has a right on it. Who has a
key can make the code of every grant: so has who reads a dump that the owner made.';
comment on column coupon.claim_secrets.id is
  'Counts up; the newest makes the codes. A code tells whether its secret''s id is odd or even.';
comment on column coupon.claim_secrets.key is
  '32 random bytes, from the server''s strong random numbers; null once retired.';
comment on column coupon.claim_secrets.created_at is
  'From then on codes are made of it, until there is a newer one.';
comment on column coupon.claim_secrets.retired_at is
  'From then on its codes are not found; null before.';
comment on index coupon.claim_secrets_two_at_once is
  'Two are in use at most, the newest and the one before it, so a code is read by one of them only.';
insert into coupon.claim_secrets (id) values (1);

create trigger claim_secrets_are_fixed
  before update on coupon.claim_secrets
  for each row
  when (old.id <> new.id
    or old.created_at <> new.created_at
    or old.retired_at is not null
    or new.key is not null and old.key is distinct from new.key)
  execute function coupon.refuse_change(
    'claim_secrets_are_fixed', 'a secret can only be retired, once: retire_claim_secret(secret_id)');

create trigger claim_secrets_are_permanent
  before delete on coupon.claim_secrets
  for each statement
  execute function coupon.refuse_change(
    'claim_secrets_are_permanent', 'a secret is never deleted: retire_claim_secret(secret_id)');

create trigger claim_secrets_are_permanent_truncate
  before truncate on coupon.claim_secrets
  for each statement
  execute function coupon.refuse_change(
    'claim_secrets_are_permanent', 'a secret is never deleted: retire_claim_secret(secret_id)');

-- migrate:down

drop table coupon.claim_secrets;

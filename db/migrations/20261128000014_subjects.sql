-- migrate:up

-- Who an identity provider's subject is here. Numbers are what the rest of the service knows of a user.

create type public.resolve_subjects_outcome as enum
  ('known', 'forgotten', 'unknown', 'created');
comment on type public.resolve_subjects_outcome is
  'known: it is this user · forgotten: it was this user, whom forget_user() removed less than two days ago · unknown: nobody,
and nobody is to be created · created: this new user.';

create table coupon.subjects (
  subject text collate "C",
  issuer text collate "C",
  user_id bigint not null,
  first_seen_at timestamptz not null default clock_timestamp(),
  constraint subjects_pkey primary key (subject, issuer),
  constraint subjects_one_per_user_and_issuer unique (user_id, issuer),
  constraint subjects_subject_fits check (length(subject) between 1 and 200),
  constraint subjects_issuer_fits check (length(issuer) between 1 and 200),
  constraint subjects_user foreign key (user_id) references coupon.users (id)
    on update restrict on delete cascade
);
alter table coupon.subjects
  alter column subject set statistics 0,
  alter column issuer set statistics 0;
comment on table coupon.subjects is
  'Which user a subject of an identity provider is. Filled by resolve_subjects() when a subject is seen for the first time; a row
is its own record. It goes with its user, when that is forgotten.';
comment on column coupon.subjects.subject is
  'Who it is for the provider, letter by letter: sub of its tokens, or what the settings name instead.';
comment on column coupon.subjects.issuer is
  'The provider: iss of its tokens, letter by letter. Subjects of two providers have nothing to do with each other.';
comment on column coupon.subjects.user_id is
  'A new one is drawn from 2^52 on, so that it does not meet those that operators import: coupon.next_user_id().';
comment on column coupon.subjects.first_seen_at is
  'When the subject became this user, by the database clock.';

create table coupon.forgotten_subjects (
  digest bytea,
  user_id bigint not null,
  forgotten_at timestamptz not null default clock_timestamp(),
  constraint forgotten_subjects_pkey primary key (digest),
  constraint forgotten_subjects_digest_has_32_bytes check (length(digest) = 32)
);
comment on table coupon.forgotten_subjects is
  'Who was forgotten in the last two days: until then the same subject is the number that it was, to which nothing is issued.
Else a person who is forgotten could get a second coupon on the same day. forget_subjects() deletes the rows.';
comment on column coupon.forgotten_subjects.digest is
  'coupon.digest_subject() of issuer and subject. Whoever knows both can find the row, and so can
who guesses them: a digest hides no subject that is a mail address or a short number.';
comment on column coupon.forgotten_subjects.user_id is
  'The number that the subject was.';
comment on column coupon.forgotten_subjects.forgotten_at is
  'When, by the database clock. Two days are longer than what is left of a day, in whatever time zone.';

-- migrate:down

drop table coupon.forgotten_subjects;
drop table coupon.subjects;
drop type public.resolve_subjects_outcome;

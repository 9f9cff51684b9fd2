-- migrate:up

-- Unlogged, since rows only pass through: after a crash the file that they came from is still
-- there. The identity caches 1,000 numbers, because a row would otherwise pay for the sequence.
create unlogged table coupon.incoming_users (
  line bigint generated always as identity (cache 1000),
  user_id text,
  display_name text,
  session_pid integer not null default pg_backend_pid()
);
comment on table coupon.incoming_users is
  'Where psql''s \copy puts the users of a file, until import_incoming_users() of the same session takes them:
\copy coupon.incoming_users (user_id, display_name) from ''users.csv'' csv header';
comment on column coupon.incoming_users.line is
  'Rises in the order of the file. Rows of other sessions may lie between.';
comment on column coupon.incoming_users.user_id is
  'Text, so that a bad id does not end the \copy: the import reports it with its line.';
comment on column coupon.incoming_users.session_pid is
  'The session that copied the row here. The next import removes the rows of sessions that have ended.';

create type public.import_incoming_users_outcome as enum ('invalid', 'created', 'updated', 'unchanged');
comment on type public.import_incoming_users_outcome is
  'invalid: not imported, detail says why · created · updated: another display_name · unchanged.';

-- migrate:down

drop type public.import_incoming_users_outcome;
drop table coupon.incoming_users;

-- migrate:up

-- Unlogged: what is here is on its way, and its file is still there after a crash. The numbers come from a cache, or each row
-- would pay for the sequence.
create unlogged table coupon.incoming_users (
  line bigint generated always as identity (cache 1000),
  user_id text,
  display_name text,
  session_pid integer not null default pg_backend_pid()
);
comment on table coupon.incoming_users is
  'Where psql''s \copy puts the users of a file, before import_incoming_users() in the same session takes them away:
\copy coupon.incoming_users (user_id, display_name) from ''users.csv'' csv header';
comment on column coupon.incoming_users.line is
  'In the file''s order; other sessions'' rows may lie between.';
comment on column coupon.incoming_users.user_id is
  'Text, like the name: a bad one is reported with its line, and doesn''t end the \copy.';
comment on column coupon.incoming_users.session_pid is
  'Whose row it is: the session that copied it here. Rows of sessions that have ended are removed by the next import.';

create type public.import_incoming_users_outcome as enum ('invalid', 'created', 'updated', 'unchanged');
comment on type public.import_incoming_users_outcome is
  'invalid: not imported, detail says why · created · updated: another display_name · unchanged.';

-- migrate:down

drop type public.import_incoming_users_outcome;
drop table coupon.incoming_users;

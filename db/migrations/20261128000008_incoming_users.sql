-- migrate:up

-- Unlogged, since rows only pass through: after a crash the file that they came from is still
-- there. The identity caches 1,000 numbers, because a row would otherwise pay for the sequence.
create unlogged table coupon.incoming_users (
  line bigint generated always as identity (cache 1000),
  user_id text,
  display_name text,
  copied_by xid8 not null default pg_current_xact_id()
);
alter table coupon.incoming_users
  alter column user_id set statistics 0,
  alter column display_name set statistics 0;
comment on table coupon.incoming_users is
  'Where psql''s \copy puts the users of a file, until import_incoming_users() of the same transaction takes them: begin;
\copy coupon.incoming_users (user_id, display_name) from ''users.csv'' with (format csv, header match, encoding ''utf8'')
select * from import_incoming_users(); commit;';
comment on column coupon.incoming_users.line is
  'Rises in the order of the file. Rows of other sessions may lie between.';
comment on column coupon.incoming_users.user_id is
  'Text, so that a bad id does not end the \copy: the import reports it with its line.';
comment on column coupon.incoming_users.copied_by is
  'The transaction that copied the row here, which alone can import it. Not the session: a pooler
gives one to several people in turn. The next import removes rows whose transaction is over.';

create type public.import_incoming_users_outcome as enum
  ('invalid', 'forgotten', 'created', 'updated', 'unchanged');
comment on type public.import_incoming_users_outcome is
  'invalid: not imported, detail says why · forgotten: by forget_user(), and not made again · created · updated: another display_name · unchanged.';

-- migrate:down

drop type public.import_incoming_users_outcome;
drop table coupon.incoming_users;

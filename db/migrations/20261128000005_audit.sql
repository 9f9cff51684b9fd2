-- migrate:up

-- The audit: who changed what, when and why. It tells what is, and stays.

create type coupon.audited_command as enum
  ('create_coupon', 'use_coupon', 'undo_use', 'pause_coupon', 'resume_coupon', 'set_coupon_count',
    'set_coupon_expiry', 'set_coupon_start', 'set_coupon_group', 'edit_coupon', 'withdraw_coupon', 'set_plan_entry', 'remove_plan_entry',
    'set_time_zone', 'import_users', 'add_to_group', 'remove_from_group', 'forget_user', 'rotate_claim_secret', 'retire_claim_secret',
    'retire_coupons', 'set_webhook', 'rotate_webhook_secret', 'enable_webhook', 'disable_webhook', 'remove_webhook', 'resend_webhook', 'record_key', 'revoke_key');
comment on type coupon.audited_command is
  'The functions that write the audit: all commands but issuing, since a grant is its own record. A use by claim code is a
use_coupon too, and one that is taken back an undo_use.';

-- The same rules as in coupon.take_out(): scripts without spaces between words, what a letter is, and which spellings are one.
create function coupon.words_of(text text)
returns text[]
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select array(
    select upper(lower(m.word[1] collate "und-x-icu"))
    from (values (
      '\u0E00-\u109F\u1100-\u11FF\u1780-\u17FF\u2E80-\u9FFF\uAC00-\uD7FF\uF900-\uFAFF\uFF66-\uFF9F\U00020000-\U0003FFFF'
    )) s (chars)
    cross join lateral regexp_matches(
      translate(normalize(words_of.text, nfc), U&'Iİı\0307', 'iii') collate "und-x-icu", '[' || s.chars || ']|[^\W' || s.chars || ']+', 'g') m (word));
end;

comment on function coupon.words_of(text) is
  'The words of a text in one case, and each character of a script that has no spaces between words: the keys of the index
audit_with_reason. Letters and cases are Unicode''s, whatever the database''s locale. A text in which coupon.take_out() finds a name
has all words of that name. Never change what it computes: the index would be wrong.';

create table coupon.audit (
  id bigint generated always as identity,
  at timestamptz not null default clock_timestamp(),
  login text not null default session_user,
  actor text,
  command coupon.audited_command not null,
  coupon_id bigint,
  user_id bigint,
  used_date timestamptz,
  issued integer,
  old_values jsonb,
  new_values jsonb,
  reason text,
  constraint audit_pkey primary key (id),
  constraint audit_undo_has_reason check (command <> 'undo_use' or reason is not null),
  constraint audit_actor_fits check (length(actor) between 1 and 250),
  constraint audit_reason_fits check (length(reason) between 1 and 500),
  constraint audit_tells_a_use_once unique (user_id, coupon_id, used_date, command)
);
create index audit_by_time on coupon.audit (at, id);
create index audit_by_coupon on coupon.audit (coupon_id, at, id);
create index audit_by_creation on coupon.audit using hash (new_values) where command = 'create_coupon';
create index audit_with_reason on coupon.audit using gin (coupon.words_of(reason)) with (fastupdate = off)
  where reason is not null;
alter table coupon.audit
  alter column old_values set statistics 0,
  alter column new_values set statistics 0,
  alter column reason set statistics 0;
alter index coupon.audit_with_reason alter column 1 set statistics 0;

comment on table coupon.audit is
  'Who changed what, when and why. Each command but issuing adds a row when it changed something, and none for a replay.
Rows are only added; forget_user() takes words out of them. A use can''t be taken back without one. Read it with
audit_trail().';
comment on index coupon.audit_by_creation is
  'For create_coupon(): which coupon was once made with these very arguments.';
comment on index coupon.audit_with_reason is
  'For forget_user(), which looks for a name in all reasons. What is added goes to its place at once, so that a look is never one
through a list of news.';
comment on column coupon.audit.at is
  'When it was done, by the database clock.';
comment on column coupon.audit.coupon_id is
  'The coupon that was changed; null where it is none. No foreign key: the audit is all that is left of a coupon that was withdrawn.';
comment on column coupon.audit.user_id is
  'Whose use it was, or who was forgotten. Null for all other commands.';
comment on column coupon.audit.used_date is
  'Which use: the used_date of the grant, after use_coupon() or before undo_use().';
comment on column coupon.audit.issued is
  'How many units of the coupon were issued when it was changed: it comes after the grant of that position in events(). Set by
the trigger audit_tells_what_is; null for a use, for what is no coupon, and for a coupon that is gone.';
comment on column coupon.audit.login is
  'The database login that called the function; coupon_api is the server.';
comment on column coupon.audit.actor is
  'On whose behalf, as the caller says. The server gives role:subject of the bearer token. Usually null from psql.';
comment on column coupon.audit.command is
  'The function that was called.';
comment on column coupon.audit.old_values is
  'The values before the change, of what changed; for withdraw_coupon() and of the plan all that there was.';
comment on column coupon.audit.new_values is
  'The values after the change. For import_users() how many users it created and updated, of a
group how many members were added or removed.';
comment on column coupon.audit.reason is
  'Why, as the caller says.';

create trigger audit_is_permanent
  before delete on coupon.audit
  for each statement
  execute function coupon.refuse_change(
    'audit_is_permanent', 'the audit is only ever added to');

create function coupon.check_audit_change() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_gone jsonb := jsonb_build_object('use_reference', coupon.forgotten());
  v_reason text := replace(replace(replace(new.reason, '\', '\\'), '%', '\%'), '_', '\_');
begin
  -- What is left of a reason stood in it, in this order; coupon.take_out() leaves it in NFC.
  if (new.id, new.at, new.login, new.command) = (old.id, old.at, old.login, old.command)
    and new.actor is not distinct from old.actor
    and new.coupon_id is not distinct from old.coupon_id
    and new.user_id is not distinct from old.user_id
    and new.used_date is not distinct from old.used_date
    and new.issued is not distinct from old.issued
    and (new.reason is not distinct from old.reason or normalize(old.reason, nfc) like replace(v_reason, coupon.forgotten(), '%'))
    and (new.old_values is not distinct from old.old_values or new.old_values = old.old_values || v_gone)
    and (new.new_values is not distinct from old.new_values or new.new_values = old.new_values || v_gone)
    and (row(new.old_values, new.new_values) is not distinct from row(old.old_values, old.new_values)
      or exists (select from coupon.forgotten_users f where f.user_id = old.user_id))
  then
    return new;
  end if;
  raise exception 'the audit is only ever added to'
    using errcode = 'check_violation', schema = 'coupon', table = 'audit', constraint = 'audit_is_permanent',
      hint = 'forget_user() takes out words.';
end
$$;
comment on function coupon.check_audit_change() is
  'For any update of the audit: words are taken out, of a reason or the reference of a user who is forgotten, and nothing else.';

create trigger audit_is_permanent_update
  before update on coupon.audit
  for each row
  execute function coupon.check_audit_change();

create trigger audit_is_permanent_truncate
  before truncate on coupon.audit
  for each statement
  execute function coupon.refuse_change(
    'audit_is_permanent', 'the audit is only ever added to');

create function coupon.check_audit() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_is_so boolean;
begin
  if new.login <> session_user or new.at not between statement_timestamp() and clock_timestamp() then
    raise exception 'it is not % who did this at %', new.login, new.at
      using errcode = 'check_violation', schema = 'coupon', table = 'audit',
        constraint = 'audit_tells_who_and_when', hint = 'login and at have defaults.';
  end if;
  if new.command in ('use_coupon', 'undo_use') then
    v_is_so := exists (
      select from coupon.user_coupons g
      where g.coupon_id = new.coupon_id and g.user_id = new.user_id and g.used_date = new.used_date
        and jsonb_build_object('use_reference', g.use_reference)
          = case new.command when 'use_coupon' then new.new_values else new.old_values end);
  else
    v_is_so := num_nonnulls(new.user_id, new.used_date) = (new.command = 'forget_user')::integer and case new.command
      when 'forget_user' then new.coupon_id is null and new.old_values is null and new.new_values is null and exists (
        select from coupon.forgotten_users f where f.user_id = new.user_id)
      when 'import_users' then new.coupon_id is null
      when 'add_to_group' then new.coupon_id is null
      when 'remove_from_group' then new.coupon_id is null
      when 'set_time_zone' then new.coupon_id is null and exists (
        select from coupon.settings s where to_jsonb(s) @> new.new_values)
      when 'set_plan_entry' then new.coupon_id is null and exists (
        select from coupon.plan p where to_jsonb(p) = new.new_values)
      when 'remove_plan_entry' then new.coupon_id is null and new.new_values is null and new.old_values is not null
        and not exists (
          select from coupon.plan p
          where p.weekday = (new.old_values->>'weekday')::smallint and p.slot = (new.old_values->>'slot')::smallint)
      when 'rotate_claim_secret' then new.coupon_id is null and exists (
        select from coupon.claim_secrets s
        where jsonb_build_object('secret_id', s.id) = new.new_values and s.retired_at is null)
      when 'retire_claim_secret' then new.coupon_id is null and exists (
        select from coupon.claim_secrets s
        where jsonb_build_object('secret_id', s.id) = new.new_values and s.retired_at is not null)
      when 'remove_webhook' then new.coupon_id is null and new.new_values is null and new.old_values is not null
        and not exists (select from coupon.webhooks w where w.webhook_name = new.old_values->>'webhook_name')
      when 'set_webhook' then new.coupon_id is null and exists (
        select from coupon.webhooks w where to_jsonb(w) @> new.new_values)
      when 'rotate_webhook_secret' then new.coupon_id is null and exists (
        select from coupon.webhook_secrets s
        where jsonb_build_object('webhook_name', s.webhook_name, 'number', s.number) = new.new_values and s.ends_at is null)
      when 'enable_webhook' then new.coupon_id is null and exists (
        select from coupon.webhooks w where to_jsonb(w) @> new.new_values and w.disabled_at is null)
      when 'disable_webhook' then new.coupon_id is null and exists (
        select from coupon.webhooks w where to_jsonb(w) @> new.new_values and w.disabled_at is not null)
      when 'resend_webhook' then new.coupon_id is null and exists (
        select from coupon.webhooks w where to_jsonb(w) @> new.new_values)
      when 'record_key' then new.coupon_id is null and exists (
        select from coupon.keys k where jsonb_build_object('id', k.id, 'name', k.name, 'scope', k.scope) = new.new_values)
      when 'revoke_key' then new.coupon_id is null and exists (
        select from coupon.keys k where jsonb_build_object('id', k.id) = new.new_values and k.revoked_at is not null)
      when 'retire_coupons' then new.new_values is null and new.old_values is not null and exists (
        select from coupon.retired_coupons r where r.coupon_id = new.coupon_id and r.code = new.old_values->>'code')
      when 'withdraw_coupon' then new.new_values is null and new.old_values is not null and new.coupon_id is not null
        and not exists (select from coupon.coupons c where c.id = new.coupon_id)
      else exists (
        select from coupon.coupons c where c.id = new.coupon_id and to_jsonb(c) @> new.new_values) end;
  end if;
  if not v_is_so then
    raise exception '% of %, which is not so', new.command, coalesce(new.new_values, new.old_values)
      using errcode = 'check_violation', schema = 'coupon', table = 'audit',
        constraint = 'audit_tells_what_is', hint = 'The function writes it: call that.';
  end if;
  -- Whoever changed the coupon has its row, so nothing is issued until this is committed.
  new.issued := case when new.used_date is null then (select c.issued from coupon.coupons c where c.id = new.coupon_id) end;
  return new;
end
$$;
comment on function coupon.check_audit() is
  'For any insert into audit: login and at are those of this statement, and the values are what the
tables say, of the use that was made or is undone, of the coupon, of the plan, of the time zone, of
the secret of claim codes, or of the webhook; what was withdrawn or removed is not there, and who is forgotten is so. Of the coupon it notes
how many units were issued.';

create trigger audit_tells_what_is
  before insert on coupon.audit
  for each row
  execute function coupon.check_audit();

create function coupon.check_use_is_undone() returns trigger
  language plpgsql
  security definer -- before PostgreSQL 18 a deferred trigger runs as whoever commits
  set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
    select from coupon.user_coupons g
    where g.coupon_id = new.coupon_id and g.user_id = new.user_id and g.used_date = new.used_date)
  then
    raise exception 'the use of coupon % by user % at % is still there',
      new.coupon_id, new.user_id, new.used_date
      using errcode = 'check_violation', schema = 'coupon', table = 'audit',
        constraint = 'audit_undo_is_done', hint = 'Call undo_use(user_id, coupon_id, reason).';
  end if;
  return null;
end
$$;
comment on function coupon.check_use_is_undone() is
  'For any undo_use in the audit: at commit the use is no longer there.';

create constraint trigger audit_undo_is_done
  after insert on coupon.audit
  deferrable initially deferred
  for each row
  when (new.command = 'undo_use')
  execute function coupon.check_use_is_undone();

-- migrate:down

drop trigger audit_undo_is_done on coupon.audit;
drop trigger audit_tells_what_is on coupon.audit;
drop trigger audit_is_permanent_truncate on coupon.audit;
drop trigger audit_is_permanent_update on coupon.audit;
drop trigger audit_is_permanent on coupon.audit;
drop function coupon.check_use_is_undone();
drop function coupon.check_audit_change();
drop function coupon.check_audit();
drop table coupon.audit;
drop function coupon.words_of(text);
drop type coupon.audited_command;

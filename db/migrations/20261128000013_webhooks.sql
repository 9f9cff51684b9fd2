-- migrate:up

-- Webhooks: servers that are told of events. Each is a reader of coupon.events with a place of its own, so nothing is
-- written for an event that arrives. Only a coupon whose event did not arrive gets a row, and waits there with all that
-- comes after it.

create type public.set_webhook_outcome as enum
  ('unchanged', 'too_many', 'changed', 'created');
comment on type public.set_webhook_outcome is
  'unchanged: it is so already · too_many: there are 50 · changed · created: with its secret, which is told this once.';

create type public.rotate_webhook_secret_outcome as enum
  ('webhook_not_found', 'rotated');
comment on type public.rotate_webhook_secret_outcome is
  'webhook_not_found · rotated: the secret is told this once; the one before it signs too for a day.';

create type public.enable_webhook_outcome as enum
  ('webhook_not_found', 'already_enabled', 'enabled');
comment on type public.enable_webhook_outcome is
  'webhook_not_found · already_enabled · enabled: what happened meanwhile is sent, and what waits at once.';

create type public.disable_webhook_outcome as enum
  ('webhook_not_found', 'already_disabled', 'disabled');
comment on type public.disable_webhook_outcome is
  'webhook_not_found · already_disabled · disabled: nothing is sent from here on, and nothing is forgotten.';

create type public.remove_webhook_outcome as enum
  ('webhook_not_found', 'removed');
comment on type public.remove_webhook_outcome is
  'webhook_not_found · removed: with its secrets and with what waits.';

create type public.resend_webhook_outcome as enum
  ('webhook_not_found', 'nothing_to_send', 'resending');
comment on type public.resend_webhook_outcome is
  'webhook_not_found · nothing_to_send: nothing waits and nothing is dead, or not this event · resending: it is sent at once.';

create table coupon.webhooks (
  webhook_name text collate "C",
  url text collate "C" not null,
  event_types public.event_type[] not null,
  created_at timestamptz not null default clock_timestamp(),
  after_number bigint not null,
  after_place integer not null,
  delivered_at timestamptz,
  failing_since timestamptz,
  last_status integer,
  last_error text,
  paused_until timestamptz,
  disabled_at timestamptz,
  disabled_reason text,
  constraint webhooks_pkey primary key (webhook_name),
  constraint webhooks_webhook_name_is_plain check (webhook_name ~ '^[A-Za-z0-9_-]{1,64}$'),
  constraint webhooks_url_is_http check (url ~ '^https?://(?=[!-~]+$)(\[[0-9A-Fa-f:.]+\]|[^][/?#@\\:<>^|]+)(:[0-9]{0,5})?([/?#]|$)'),
  constraint webhooks_url_fits check (length(url) <= 2000),
  constraint webhooks_last_error_fits check (length(last_error) <= 200),
  constraint webhooks_disabled_for_a_reason check ((disabled_at is null) = (disabled_reason is null))
);
comment on table coupon.webhooks is
  'Who is told of events: set_webhook(). A server that has claim_webhooks() sends them.';
comment on column coupon.webhooks.webhook_name is
  'What it is called: letters, digits, - and _.';
comment on column coupon.webhooks.url is
  'Where events are sent. No name or password: what is sent is signed. Which addresses may be sent to the server''s settings say.';
comment on column coupon.webhooks.event_types is
  'The events that it is told; none: all, and those of later releases.';
comment on column coupon.webhooks.after_number is
  'The place in coupon.events up to which all was sent, or waits in coupon.webhook_deliveries: a number …';
comment on column coupon.webhooks.after_place is
  '… and a place in it, as in an event_id.';
comment on column coupon.webhooks.delivered_at is
  'When it took an event last.';
comment on column coupon.webhooks.failing_since is
  'Since when it has taken nothing that was sent to it; null if it took the last one.';
comment on column coupon.webhooks.last_status is
  'What it answered when it refused an event last; null if it did not answer.';
comment on column coupon.webhooks.last_error is
  'Why that failed, in words.';
comment on column coupon.webhooks.paused_until is
  'Until then it asked to be sent nothing. Null, or over: it is sent what is due.';
comment on column coupon.webhooks.disabled_at is
  'Since when nothing is sent to it; null if it is enabled.';

create table coupon.webhook_secrets (
  webhook_name text collate "C",
  number integer,
  key bytea not null default sha256(
    uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
  created_at timestamptz not null default clock_timestamp(),
  ends_at timestamptz,
  constraint webhook_secrets_pkey primary key (webhook_name, number),
  constraint webhook_secrets_webhook foreign key (webhook_name) references coupon.webhooks (webhook_name)
    on update restrict on delete cascade,
  constraint webhook_secrets_key_fits check (length(key) between 24 and 64)
);
create unique index webhook_secrets_one_newest on coupon.webhook_secrets (webhook_name) where ends_at is null;
create unique index webhook_secrets_one_before on coupon.webhook_secrets (webhook_name) where ends_at is not null;
comment on table coupon.webhook_secrets is
  'What is sent to a webhook is signed with these: with the newest, and for a day after rotate_webhook_secret() with the one
before it too. Nobody but coupon_owner has a right on it; the server gets them by webhook_target().';
comment on column coupon.webhook_secrets.number is
  'Counts up.';
comment on column coupon.webhook_secrets.key is
  '32 random bytes, from the server''s strong random numbers. Its holder knows them as whsec_ and base64.';
comment on column coupon.webhook_secrets.created_at is
  'From then on it signs.';
comment on column coupon.webhook_secrets.ends_at is
  'Until then it signs; null: it is the newest.';

create table coupon.webhook_deliveries (
  webhook_name text collate "C",
  number bigint,
  place integer,
  coupon_id bigint not null,
  attempts integer not null,
  next_attempt_at timestamptz,
  dead_at timestamptz,
  last_attempt_at timestamptz,
  last_status integer,
  last_error text,
  constraint webhook_deliveries_pkey primary key (webhook_name, number, place),
  constraint webhook_deliveries_webhook foreign key (webhook_name) references coupon.webhooks (webhook_name)
    on update restrict on delete cascade,
  constraint webhook_deliveries_attempts_count check (attempts >= 0),
  constraint webhook_deliveries_last_error_fits check (length(last_error) <= 200),
  constraint webhook_deliveries_wait_or_are_dead check (next_attempt_at is not null or dead_at is not null)
);
create unique index webhook_deliveries_one_waits on coupon.webhook_deliveries (webhook_name, coupon_id)
  where dead_at is null;
comment on table coupon.webhook_deliveries is
  'What did not arrive. While an event of a coupon waits, so does all that comes after it of that coupon: the row says from
where on. One that failed for a day is dead: the next one has its turn, and resend_webhook() sends it again.';
comment on column coupon.webhook_deliveries.number is
  'Which event: the number of its row in coupon.events …';
comment on column coupon.webhook_deliveries.place is
  '… and its place there. Without an attempt it may be before the next event of the coupon.';
comment on column coupon.webhook_deliveries.coupon_id is
  'Whose event it is; 0 if it is no coupon''s.';
comment on column coupon.webhook_deliveries.attempts is
  'How often it was sent. 0: it was never its turn.';
comment on column coupon.webhook_deliveries.next_attempt_at is
  'From then on it is sent again; null: it is dead, and nobody wants it again.';
comment on column coupon.webhook_deliveries.dead_at is
  'When it was given up; null while it waits.';
comment on column coupon.webhook_deliveries.last_attempt_at is
  'When it was sent last.';
comment on column coupon.webhook_deliveries.last_status is
  'What was answered then; null if nothing was.';
comment on column coupon.webhook_deliveries.last_error is
  'Why that failed, in words.';
comment on index coupon.webhook_deliveries_one_waits is
  'A coupon waits at one place.';

create table coupon.webhook_sender (
  only_row boolean primary key default true,
  sender uuid,
  until timestamptz not null default '-infinity',
  constraint webhook_sender_has_one_row check (only_row)
);
comment on table coupon.webhook_sender is
  'Which server process sends, until when: claim_webhooks(). Exactly one row.';
comment on column coupon.webhook_sender.sender is
  'A server process, from its start to its end.';
comment on column coupon.webhook_sender.until is
  'Then another one may take over, by the database clock.';
insert into coupon.webhook_sender default values;

-- migrate:down

drop table coupon.webhook_sender;
drop table coupon.webhook_deliveries;
drop table coupon.webhook_secrets;
drop table coupon.webhooks;
drop type public.resend_webhook_outcome;
drop type public.remove_webhook_outcome;
drop type public.disable_webhook_outcome;
drop type public.enable_webhook_outcome;
drop type public.rotate_webhook_secret_outcome;
drop type public.set_webhook_outcome;

-- migrate:up

-- What happened, in one order. A grant is its own record and so is a row of the audit: the log only says in which order
-- they come. Nothing is written to it where they are made. Whoever reads events() first has coupon.gather_events() add
-- what was committed since.

create type public.event_type as enum ('created', 'edited', 'paused', 'resumed', 'restocked', 'withdrawn', 'retired',
  'issued', 'sold_out', 'used', 'undone', 'webhook_disabled');
comment on type public.event_type is
  'What happened to a coupon, or to a unit of it: issued, used, undone (the use was taken back). edited: its texts, times or
count; restocked: its count was raised while nothing was left; sold_out: the last unit was issued, or the rest was cut off.
webhook_disabled is no coupon''s: nothing is sent to a webhook any more.';

create table coupon.events (
  number bigint,
  gathered_at timestamptz not null,
  coupon_id bigint,
  audit_id bigint,
  first_position integer,
  last_position integer,
  sold_out boolean,
  constraint events_pkey primary key (number),
  constraint events_tell_a_change_once unique (audit_id),
  constraint events_are_of_one_kind check (
    num_nonnulls(first_position, last_position, sold_out) = case when audit_id is null then 3 else 0 end
    and num_nonnulls(coupon_id, audit_id) > 0),
  constraint events_positions_rise check (first_position between 1 and last_position)
);
create unique index events_tell_a_grant_once on coupon.events (coupon_id, last_position) where last_position is not null;
create index events_by_coupon on coupon.events (coalesce(coupon_id, 0), number);

comment on table coupon.events is
  'The order of events: a row is a row of the audit, or the grants of a coupon from one position to another. Only
coupon.gather_events() adds rows, one call at a time, with the next numbers: so none appears before one that was read.';
comment on column coupon.events.number is
  'The place in the order, from 1.';
comment on column coupon.events.gathered_at is
  'When it was added, by the database clock. Part of an event_id, so that one of another database is noticed.';
comment on column coupon.events.coupon_id is
  'Whose event it is; null if it is no coupon''s. No foreign key: an event stays when its coupon is gone.';
comment on column coupon.events.audit_id is
  'The row of the audit that it is; null for grants.';
comment on column coupon.events.first_position is
  'The first of these grants; null for a row of the audit.';
comment on column coupon.events.last_position is
  'The last of these grants. Grants that retire_coupons() moved out have no events any more.';
comment on column coupon.events.sold_out is
  'Whether the last of these grants took the last unit.';
comment on index coupon.events_tell_a_grant_once is
  'Also for coupon.new_grants(), which looks for the last one.';
comment on index coupon.events_by_coupon is
  'For coupon.events_after() of one coupon, however many events others have.';

create trigger events_are_permanent
  before update or delete on coupon.events
  for each statement
  execute function coupon.refuse_change(
    'events_are_permanent', 'events are only ever added');

create trigger events_are_permanent_truncate
  before truncate on coupon.events
  for each statement
  execute function coupon.refuse_change(
    'events_are_permanent', 'events are only ever added');

create table coupon.gathered (
  only_row boolean primary key default true,
  last_number bigint not null default 0,
  gathered_at timestamptz not null default '-infinity',
  seen_id bigint not null default 0,
  awaited int8multirange not null default '{}',
  settled_id bigint not null default 0,
  settled_by xid8 not null default '0',
  constraint gathered_has_one_row check (only_row)
);
comment on table coupon.gathered is
  'What coupon.gather_events() has added to coupon.events. Exactly one row; who gathers locks it.';
comment on column coupon.gathered.last_number is
  'The highest number in coupon.events.';
comment on column coupon.gathered.gathered_at is
  'When something was gathered last.';
comment on column coupon.gathered.seen_id is
  'The highest id of the audit that was seen.';
comment on column coupon.gathered.awaited is
  'Lower ids of the audit that were not seen: each of a transaction that is not over yet, or was undone.';
comment on column coupon.gathered.settled_id is
  'Up to this id none is awaited any more once all transactions before settled_by are over.';
comment on column coupon.gathered.settled_by is
  'A transaction that began after settled_id was seen.';
insert into coupon.gathered default values;

-- migrate:down

drop table coupon.gathered;
drop table coupon.events;
drop type public.event_type;

-- migrate:up

-- How many asked. A grant is in user_coupons already; here is what the servers answered and nothing else remembers. Each
-- server process counts in memory and tells once a second (count_demand), away from who issues.

create table coupon.demand (
  coupon_id bigint,
  second timestamptz,
  refused bigint not null,
  replayed bigint not null,
  constraint demand_pkey primary key (coupon_id, second),
  constraint demand_coupon foreign key (coupon_id) references coupon.coupons (id) on update cascade on delete cascade,
  constraint demand_second_is_whole check (second = date_bin('1 second', second, '1970-01-01Z')),
  constraint demand_only_grows check (refused >= 0 and replayed >= 0)
);
-- As good as empty, but for the last month.
create index demand_to_fold on coupon.demand (second)
  where second <> date_bin('15 minutes', second, '1970-01-01Z');

comment on table coupon.demand is
  'Requests for a coupon that were answered by servers and wrote nothing, in each second: all servers together. With the
grants of that second it is how many asked. Requests, not people: who asks twice counts twice. What is answered in psql is
not in it, nor what a server turned away (401, 429, 503). Of a server that is killed, what it had not told yet is missing: a
second or two, more while the database did not take it.';
comment on column coupon.demand.second is
  'When this second began, by the database clock. After a month a quarter of an hour stands in one row: fold_demand().';
comment on column coupon.demand.refused is
  'Answers that were a refusal, whatever its reason.';
comment on column coupon.demand.replayed is
  'Answers that were already_issued.';

create table coupon.demand_senders (
  sender uuid,
  last_number bigint not null,
  told_at timestamptz not null,
  constraint demand_senders_pkey primary key (sender)
);
comment on table coupon.demand_senders is
  'What each server process has told last. One whose answer was lost tells the same again, and nothing is counted twice.
A row is there for a day.';
comment on column coupon.demand_senders.sender is
  'A server process, from its start to its end.';
comment on column coupon.demand_senders.last_number is
  'The number of its last call of count_demand() that was counted.';
comment on column coupon.demand_senders.told_at is
  'When that was, by the database clock.';

-- migrate:down

drop table coupon.demand_senders;
drop table coupon.demand;

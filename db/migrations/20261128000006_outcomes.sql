-- migrate:up

-- What callers get. An enum for each command, named after it; its values stand in order of
-- precedence, and the first that applies is the answer.

create type public.create_coupon_outcome as enum
  ('already_created', 'already_withdrawn', 'code_taken', 'in_the_past', 'start_time_taken', 'count_taken', 'day_full',
    'created');
comment on type public.create_coupon_outcome is
  'already_created: the same coupon exists, all members alike · already_withdrawn: it was created and withdrawn, and this gives
no reason to make another one · code_taken: whatever its case · in_the_past: it would have expired · start_time_taken,
count_taken: by another coupon of that day · day_full: three coupons already · created.';

create type public.issue_coupon_outcome as enum
  ('coupon_not_found', 'already_issued', 'not_started', 'ended', 'paused', 'sold_out', 'user_not_found',
    'daily_limit_reached', 'issued');
comment on type public.issue_coupon_outcome is
  'coupon_not_found · already_issued: the user holds it, with its position · not_started, ended, paused, sold_out: hold
for everybody · user_not_found · daily_limit_reached: the user got a coupon today · issued.';

create type public.use_coupon_outcome as enum
  ('coupon_not_found', 'not_issued', 'user_not_found', 'already_used', 'expired', 'used');
comment on type public.use_coupon_outcome is
  'coupon_not_found · not_issued: the user doesn''t hold it · user_not_found: the user is forgotten · already_used:
under another reference · expired · used: now, or before under the same reference.';

create type public.use_claim_outcome as enum
  ('claim_not_found', 'already_used', 'expired', 'used');
comment on type public.use_claim_outcome is
  'claim_not_found: no grant has this code · already_used: under another reference · expired · used: now, or before under
the same reference.';

create type public.undo_use_outcome as enum
  ('coupon_not_found', 'not_issued', 'user_not_found', 'not_used', 'used_by_another', 'restored');
comment on type public.undo_use_outcome is
  'coupon_not_found · not_issued: the user doesn''t hold it · user_not_found: the user is forgotten · not_used: or not
by the use that the caller means · used_by_another: than who may only take back its own · restored: can be used again until expiry.';

create type public.undo_claim_outcome as enum
  ('claim_not_found', 'not_used', 'used_by_another', 'restored');
comment on type public.undo_claim_outcome is
  'claim_not_found: no grant has this code · not_used: or not by the use that the caller means · used_by_another: than who
may only take back its own · restored: can be used again until expiry.';

create type public.rotate_claim_secret_outcome as enum
  ('older_in_use', 'rotated');
comment on type public.rotate_claim_secret_outcome is
  'older_in_use: retire the one before the newest first · rotated: codes are made of a new secret from here on.';

create type public.retire_claim_secret_outcome as enum
  ('secret_not_found', 'already_retired', 'newest', 'retired');
comment on type public.retire_claim_secret_outcome is
  'secret_not_found · already_retired · newest: codes are made of it, so rotate first · retired: its codes are not found
from here on.';

create type public.pause_coupon_outcome as enum
  ('coupon_not_found', 'already_paused', 'paused');
comment on type public.pause_coupon_outcome is
  'coupon_not_found · already_paused · paused: nothing is issued from here on.';

create type public.resume_coupon_outcome as enum
  ('coupon_not_found', 'not_paused', 'resumed');
comment on type public.resume_coupon_outcome is
  'coupon_not_found · not_paused · resumed.';

create type public.set_coupon_count_outcome as enum
  ('coupon_not_found', 'unchanged', 'below_issued', 'count_taken', 'changed');
comment on type public.set_coupon_count_outcome is
  'coupon_not_found · unchanged: it is the count already · below_issued: more are issued · count_taken: by another
coupon of that day · changed.';

create type public.set_coupon_expiry_outcome as enum
  ('coupon_not_found', 'unchanged', 'not_after_start', 'in_the_past', 'changed');
comment on type public.set_coupon_expiry_outcome is
  'coupon_not_found · unchanged: it is the expiry already · not_after_start · in_the_past: grants and uses after it
may exist · changed.';

create type public.set_coupon_start_outcome as enum
  ('coupon_not_found', 'unchanged', 'already_started', 'in_the_past', 'not_after_eligible_from', 'not_before_expiry',
    'start_time_taken', 'count_taken', 'day_full', 'changed');
comment on type public.set_coupon_start_outcome is
  'coupon_not_found · unchanged: it is the start already · already_started: too late · in_the_past: it could not be had
from then on · not_after_eligible_from: when its group may have it, set that first · not_before_expiry: set that first ·
start_time_taken, count_taken: by another coupon of the new day ·
day_full: that day has three coupons already · changed.';

create type public.set_coupon_group_outcome as enum
  ('coupon_not_found', 'unchanged', 'already_started', 'in_the_past', 'not_before_start', 'changed');
comment on type public.set_coupon_group_outcome is
  'coupon_not_found · unchanged: it is so already · already_started: for its group or for everybody, so too late ·
in_the_past: the group could not have had it from then on · not_before_start: of everybody · changed.';

create type public.edit_coupon_outcome as enum
  ('coupon_not_found', 'unchanged', 'already_started', 'code_taken', 'changed');
comment on type public.edit_coupon_outcome is
  'coupon_not_found · unchanged: all is so already · already_started: the code stays from then on, texts and metadata may
change · code_taken: by another coupon, whatever its case · changed.';

create type public.withdraw_coupon_outcome as enum
  ('coupon_not_found', 'already_withdrawn', 'has_grants', 'withdrawn');
comment on type public.withdraw_coupon_outcome is
  'coupon_not_found: there never was one · already_withdrawn · has_grants: what was issued stays issued; to end it, pause
it, or set its expiry or its count · withdrawn: its code, its start_time and its place of the day are free.';

create type public.coupon_warning as enum
  ('short_lived', 'already_started', 'empty_group');
comment on type public.coupon_warning is
  'What is done although it may be a mistake. short_lived: it can be had for less than a minute · already_started: its
start_time is not to come, so it can be had at once · empty_group: the group has no members yet, so nobody gets it early.';

create type public.set_time_zone_outcome as enum
  ('unchanged', 'breaks_daily_offer', 'changed');
comment on type public.set_time_zone_outcome is
  'unchanged: it is the zone already, and its rules move no coupon · breaks_daily_offer: some day would offer four
coupons, or two of one count · changed.';

create type public.import_users_outcome as enum
  ('forgotten', 'created', 'updated', 'unchanged');
comment on type public.import_users_outcome is
  'forgotten: by forget_user(), and not made again · created · updated: another display_name · unchanged.';

create type public.add_to_group_outcome as enum
  ('user_not_found', 'already_member', 'added');
comment on type public.add_to_group_outcome is
  'user_not_found: there is none, or it is forgotten · already_member · added.';

create type public.remove_from_group_outcome as enum
  ('not_member', 'removed');
comment on type public.remove_from_group_outcome is
  'not_member · removed.';

create type public.forget_user_outcome as enum
  ('user_not_found', 'already_forgotten', 'forgotten');
comment on type public.forget_user_outcome is
  'user_not_found: there never was one · already_forgotten · forgotten: name and words are gone, the number stays.';

create type public.wallet_state as enum
  ('issued', 'used', 'expired');
comment on type public.wallet_state is
  'issued: can be used · used · expired: was not used in time.';

create type public.coupon_state as enum
  ('upcoming', 'ended', 'paused', 'sold_out', 'live');
comment on type public.coupon_state is
  'upcoming: not started · ended: expired · paused · sold_out · live: can be had. The first that applies.';

create type public.coupon_offer as (
  coupon_id bigint,
  code text,
  message text,
  description text,
  start_time timestamptz,
  eligible_from timestamptz,
  expiry timestamptz,
  count integer,
  issued integer,
  remaining integer,
  sold_out boolean,
  sold_out_at timestamptz,
  time_to_sell_out interval,
  paused boolean,
  starts_in interval,
  metadata jsonb,
  asked bigint,
  server_time timestamptz
);
comment on type public.coupon_offer is
  'A coupon as callers see it: live_coupons(), upcoming_coupons(), find_coupon().';
comment on column public.coupon_offer.eligible_from is
  'From when the members of a group may have it, which is before start_time; null: nobody may before that. Which group is for
operators: list_coupons().';
comment on column public.coupon_offer.remaining is 'count - issued.';
comment on column public.coupon_offer.sold_out_at is 'Since when nothing is left; null while units are left.';
comment on column public.coupon_offer.time_to_sell_out is 'From the first moment in which somebody could have it (eligible_from, else start_time) to sold_out_at.';
comment on column public.coupon_offer.starts_in is 'Time until start_time by the database clock; null once started.';
comment on column public.coupon_offer.asked is
  'Requests for it that were answered so far. Only find_coupon() counts them; null in the lists.';
comment on column public.coupon_offer.server_time is 'The database clock of this answer.';

create type public.listed_coupon as (
  state public.coupon_state,
  coupon_id bigint,
  code text,
  message text,
  description text,
  start_time timestamptz,
  eligible_group text,
  eligible_from timestamptz,
  expiry timestamptz,
  live_on date,
  slot smallint,
  count integer,
  issued integer,
  remaining integer,
  paused boolean,
  metadata jsonb
);
comment on type public.listed_coupon is
  'A coupon as operators see it, past ones too: list_coupons().';
comment on column public.listed_coupon.eligible_group is 'Whose members may have it from eligible_from on; null: nobody may before start_time.';
comment on column public.listed_coupon.live_on is 'The day that it counts for.';
comment on column public.listed_coupon.slot is 'Its place (1 to 3) among the coupons of that day.';
comment on column public.listed_coupon.remaining is 'count - issued.';

-- migrate:down

drop type public.listed_coupon;
drop type public.coupon_offer;
drop type public.coupon_state;
drop type public.wallet_state;
drop type public.forget_user_outcome;
drop type public.remove_from_group_outcome;
drop type public.add_to_group_outcome;
drop type public.import_users_outcome;
drop type public.set_time_zone_outcome;
drop type public.coupon_warning;
drop type public.withdraw_coupon_outcome;
drop type public.edit_coupon_outcome;
drop type public.set_coupon_group_outcome;
drop type public.set_coupon_start_outcome;
drop type public.set_coupon_expiry_outcome;
drop type public.set_coupon_count_outcome;
drop type public.resume_coupon_outcome;
drop type public.pause_coupon_outcome;
drop type public.retire_claim_secret_outcome;
drop type public.rotate_claim_secret_outcome;
drop type public.undo_claim_outcome;
drop type public.undo_use_outcome;
drop type public.use_claim_outcome;
drop type public.use_coupon_outcome;
drop type public.issue_coupon_outcome;
drop type public.create_coupon_outcome;

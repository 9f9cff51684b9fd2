-- migrate:up

create type public.coupon_offer as (
  coupon_id bigint,
  code text,
  message text,
  description text,
  start_time timestamptz,
  expiry timestamptz,
  count integer,
  issued integer,
  remaining integer,
  sold_out boolean,
  paused boolean,
  starts_in interval,
  metadata jsonb,
  server_time timestamptz
);
comment on type public.coupon_offer is
  'A coupon as callers see it: live_coupons(), upcoming_coupons(), find_coupon().';
comment on column public.coupon_offer.remaining is 'count - issued.';
comment on column public.coupon_offer.starts_in is 'Time until start_time by the database clock; null once started.';
comment on column public.coupon_offer.server_time is 'The database clock of this answer.';

-- migrate:down

drop type public.coupon_offer;

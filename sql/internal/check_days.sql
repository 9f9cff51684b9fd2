-- Asserts days that coupons are to be made for. A null is the caller's to judge.
create or replace function coupon.check_days(first_day date, last_day date)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform coupon.refuse_argument(a.name, 'must lie between 1970 and 9997')
  from (values ('first_day', check_days.first_day), ('last_day', check_days.last_day)) a (name, day)
  where a.day not between '1970-01-01' and '9997-12-31';
  perform coupon.refuse_argument('last_day', a.why)
  from (values
    (check_days.last_day < check_days.first_day, 'must not be before first_day'),
    (check_days.last_day > check_days.first_day + 90, 'must be at most 90 days after first_day')
  ) a (is_bad, why)
  where a.is_bad;
end
$$;

comment on function coupon.check_days(date, date) is
  'Refuses days that are not 1 to 91 (13 weeks) in a row, or for which no coupon can be made.';

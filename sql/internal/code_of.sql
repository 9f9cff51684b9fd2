-- The code that a pattern of the plan gives on a day. The constraints of coupon.plan know its placeholders too.
create or replace function coupon.code_of(code_pattern text, day date, slot integer)
returns text
language sql
immutable
parallel safe
return replace(replace(replace(replace(replace(replace(code_of.code_pattern,
  '{date}', to_char(code_of.day::timestamp, 'YYYYMMDD')),
  '{year}', to_char(code_of.day::timestamp, 'YYYY')),
  '{month}', to_char(code_of.day::timestamp, 'MM')),
  '{day}', to_char(code_of.day::timestamp, 'DD')),
  '{weekday}', to_char(code_of.day::timestamp, 'DY')),
  '{slot}', code_of.slot::text);

comment on function coupon.code_of(text, date, integer) is
  'The pattern with {date} as 20261130, {year} as 2026, {month} as 11, {day} as 30, {weekday} as MON and {slot} as the slot.';

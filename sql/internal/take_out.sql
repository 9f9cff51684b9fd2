-- A text without a name: whole words, in upper or lower case. All of it goes where it would grow too long for the audit.
create or replace function coupon.take_out(name text, words text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select case when length(r.words) <= 500 then r.words else coupon.forgotten() end
  from (
    select regexp_replace(
      take_out.words, '(?<!\w)' || regexp_replace(take_out.name, '(\W)', '\\\1', 'g') || '(?!\w)', coupon.forgotten(), 'gi')
  ) r (words)
$$;

comment on function coupon.take_out(text, text) is
  'The words with coupon.forgotten() wherever the name stood in them.';
